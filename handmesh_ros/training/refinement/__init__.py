"""Training of the refinement network: crops of hands, cached features, losses, optimisation."""

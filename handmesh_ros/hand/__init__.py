"""What a hand is: conventions, the `Hands` array type, the skinned model."""

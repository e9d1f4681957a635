"""Pairs at the least cost: the assignment problem, for the few hands of an image."""

from __future__ import annotations

import math

import numpy as np


def solve_linear_assignment(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair rows with columns so that the sum of costs is least.

    Shortest augmenting paths (R. Jonker, A. Volgenant: A shortest augmenting path algorithm for
    dense and sparse linear assignment problems, Computing 38, 1987). The results are those of
    `scipy.optimize.linear_sum_assignment`; loading that takes 47 MB and half a second of every
    start, a seventh of a detector's memory.

    Args:
        cost: (M, N), finite.

    Returns:
        (P,) rows, ascending, and (P,) their columns; P is the lesser of M and N.
    """
    if not cost.size:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    if len(cost) > cost.shape[1]:
        columns, rows = solve_linear_assignment(cost.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    nearest = cost.argmin(1)
    if len(set(nearest.tolist())) == len(cost):
        return np.arange(len(cost)), nearest  # No two rows want the same column: the usual case.
    table, columns_left = cost.tolist(), range(cost.shape[1])
    row_price, column_price = [0.0] * len(table), [0.0] * len(columns_left)
    row_of = [-1] * len(columns_left)
    for new in range(len(table)):
        # Dijkstra's search from the new row to a free column, over columns that others hold.
        distance, before = [math.inf] * len(columns_left), [-1] * len(columns_left)
        open_columns, visited = list(columns_left), []
        row, column, reach = new, -1, 0.0
        while row >= 0:
            start, costs_here = reach - row_price[row], table[row]
            for other in open_columns:
                through = start + costs_here[other] - column_price[other]
                if through < distance[other]:
                    distance[other], before[other] = through, column
            column = min(open_columns, key=distance.__getitem__)
            open_columns.remove(column)
            visited.append(column)
            row, reach = row_of[column], distance[column]
        row_price[new] += reach
        for other in visited[:-1]:
            row_price[row_of[other]] += reach - distance[other]
            column_price[other] -= reach - distance[other]
        while column >= 0:
            row_of[column] = row_of[before[column]] if before[column] >= 0 else new
            column = before[column]
    pairs = sorted((row, column) for column, row in enumerate(row_of) if row >= 0)
    rows, columns = np.array(pairs, np.intp).T
    return rows, columns

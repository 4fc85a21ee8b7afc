"""Lists of assets: read from CSV, XLSX and GeoJSON as people make them, checked cell by cell, written as CSV."""

from borne.fleet.lists.sheet import Problem, Row, Sheet, read

__all__ = ["Problem", "Row", "Sheet", "read"]

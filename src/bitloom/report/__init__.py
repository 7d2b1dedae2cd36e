"""What a design is, what it was seen to do and what it takes: report.json, and the same as tables."""

from bitloom.report.design import REPORT_FORMAT, design_report
from bitloom.report.html import report_page
from bitloom.report.tables import design_tables, resource_tables, text_table

__all__ = ["REPORT_FORMAT", "design_report", "design_tables", "report_page", "resource_tables", "text_table"]

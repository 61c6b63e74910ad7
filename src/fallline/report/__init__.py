"""Pictures of real runs as SVG, and the self-contained report.html."""

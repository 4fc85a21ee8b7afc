"""Labels of nodes: what their QR code says, what people read on them, and the sheets to print them on."""

"""Tables of the page: CSV files of the results as cells to be read, sorted and explained."""

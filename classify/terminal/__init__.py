"""Results, statistics and audits as a terminal shows them."""

"""Who trains, validates and is tested: rules, protocols and the plans that follow from them."""

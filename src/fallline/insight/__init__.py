"""What happens inside, told with numbers: `weight_story` follows one weight through backpropagation and update."""

"""From a recipe to a trained adapter: data, model, targets, Trainer."""

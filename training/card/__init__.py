"""The parts of a model card, a module each; ``training.model_card`` puts them together."""

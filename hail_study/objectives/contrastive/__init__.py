"""What contrastive terms are made of: views of histories, the losses that compare them, learnable augmenters."""

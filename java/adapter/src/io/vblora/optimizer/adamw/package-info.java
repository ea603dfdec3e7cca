/** AdamW with PyTorch's arithmetic, for dense parameters and, by active sets, for logits. */
package io.vblora.optimizer.adamw;

/** LoRA: A and B are trained themselves (Hu et al., 2021, arXiv 2106.09685). */
package io.vblora.adapter.methods.lora;

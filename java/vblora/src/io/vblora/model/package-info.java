/** Models from Hugging Face folders: forward and backward by hand, with frozen weights and an optional adapter. */
package io.vblora.model;

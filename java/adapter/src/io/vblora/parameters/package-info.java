/**
 * Parameters that are trained, with their gradients: in which buffers they lie, under which names they are stored, and
 * which group each belongs to. What an optimizer remembers of them is not here.
 */
package io.vblora.parameters;

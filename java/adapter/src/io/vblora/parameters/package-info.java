/**
 * Parameters that are trained, with their gradients: the buffers in which they lie, the names under which they are
 * stored, and the groups that they belong to. What an optimizer remembers about them is in the optimizer's package.
 */
package io.vblora.parameters;

package io.vblora.model;

import java.util.List;

/**
 * A part of a model. Adapters may hold parameters of it, which then take the place of the base model's own and are
 * trained, and updates of its linear layers.
 */
public interface ModelPart {
    /** All parameters, those of linear layers included, in the order of the model. */
    List<Parameter> parameters();

    /** The linear layers that an adapter can have updates of, in the order of the model. */
    default List<Linear> linears() {
        return List.of();
    }
}

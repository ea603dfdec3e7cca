package io.vblora.model;

import io.vblora.adapter.Adapter;
import java.util.List;

/**
 * A part of a model. An attached adapter may hold parameters of it, which then take the place of the base model's own
 * and are trained, and updates of its linear layers.
 */
public interface ModelPart {
    /** All parameters, those of linear layers included, in the order of the model. */
    List<Parameter> parameters();

    /** The linear layers that an adapter can have updates of, in the order of the model. */
    default List<Linear> linears() {
        return List.of();
    }

    /** Uses what an adapter has of this part; null detaches. */
    default void attach(Adapter adapter) {
        parameters().forEach(parameter -> parameter.attach(adapter));
        linears().forEach(linear -> linear.attachUpdate(adapter));
    }

    /** Whether the attached adapter trains anything of it. */
    default boolean isTrained() {
        return parameters().stream().anyMatch(Parameter::isTrained)
                || linears().stream().anyMatch(Linear::isAdapted);
    }
}

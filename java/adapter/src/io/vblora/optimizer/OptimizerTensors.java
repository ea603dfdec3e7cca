package io.vblora.optimizer;

import io.vblora.parameters.NamedTensors;
import java.util.Map;

/**
 * The quantities that an optimizer remembers, such as AdamW's {@code exp_avg}, each with a tensor under every
 * parameter's name. Some tensors may be views of the state: read them before the next update.
 */
public record OptimizerTensors(Map<String, NamedTensors> quantities) implements AutoCloseable {
    public OptimizerTensors {
        quantities = Map.copyOf(quantities);
    }

    /** The tensors of a quantity, or null if there are none. */
    public NamedTensors get(String quantity) {
        return quantities.get(quantity);
    }

    @Override
    public void close() {
        quantities.values().forEach(NamedTensors::close);
    }
}

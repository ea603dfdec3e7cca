package io.vblora.optimizer;

import io.vblora.parameters.NamedTensors;
import java.util.Map;

/**
 * What an optimizer remembers, AdamW's {@code exp_avg} for instance, each with a tensor under every parameter's name.
 * Some may be views of the state: read them before the next update.
 */
public record OptimizerTensors(Map<String, NamedTensors> quantities) implements AutoCloseable {
    public OptimizerTensors {
        quantities = Map.copyOf(quantities);
    }

    /** One of the quantities, or null. */
    public NamedTensors get(String quantity) {
        return quantities.get(quantity);
    }

    @Override
    public void close() {
        quantities.values().forEach(NamedTensors::close);
    }
}

package io.vblora.adapter.methods.lora;

import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.PackedLayout;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.FlatParameters;
import io.vblora.parameters.FloatTensors;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.ParameterLayout;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;

/** Plain LoRA, whose parameters are the packed matrices themselves. */
final class LoraComposition extends FlatParameters implements Composition {
    /** Allocates the parameters, all zero. */
    LoraComposition(Device device, LoraConfig config, List<ModuleShape> modules) {
        super(device, config.source(), PackedLayout.of(config, modules));
        groups(Collections.nCopies(layout().tensors().size(), ParameterGroup.MATRICES));
    }

    /** As PEFT begins: A is kaiming-uniform with a = sqrt(5), which is uniform within 1 / sqrt(in), and B is zero. */
    void initialize(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        for (ParameterLayout.Factors factors : layout().factors()) {
            double bound = 1 / Math.sqrt(factors.a().shape().get(1));
            FloatTensors.fill(factors.a().view(values()), () -> (2 * random.nextDouble() - 1) * bound);
        }
        changed();
    }

    @Override
    public Tensor packed() {
        return values();
    }

    @Override
    public Tensor packedGradient() {
        return gradient();
    }
}

package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.FlatParameters;
import io.vblora.parameters.Floats;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Plain LoRA: the packed matrices are the parameters themselves. */
final class LoraComposition extends FlatParameters implements Composition {
    private final List<ModuleShape> modules;
    private final LoraConfig config;

    /** Allocates the parameters, all zero. */
    LoraComposition(Device device, LoraConfig config, List<ModuleShape> modules) {
        super(device, config.source(), modules.stream()
                .mapToLong(module -> config.r(module.path()) * (module.inFeatures() + module.outFeatures())).sum());
        parts(List.of(new Part(ParameterGroup.OTHER, values().elements())));
        this.modules = modules;
        this.config = config;
    }

    /** A kaiming-uniform with a = sqrt(5), which is uniform within 1 / sqrt(in); B zero: as PEFT begins. */
    void initialize(long seed) {
        if (!config.defaultInit()) {
            throw new InputException(source(), "init_lora_weights", config.json().get("init_lora_weights").toString(),
                    "true: new adapters begin with A kaiming-uniform and B zero");
        }
        SplittableRandom random = new SplittableRandom(seed);
        forEach(values(), (module, a, bt) -> {
            double bound = 1 / Math.sqrt(module.inFeatures());
            Floats.fill(a, () -> (2 * random.nextDouble() - 1) * bound);
        });
        changed();
    }

    private interface Visitor {
        void visit(ModuleShape module, Tensor a, Tensor bt);
    }

    /** A [r, in] and Bᵀ [r, out] of every module in a buffer laid out like the packed one. */
    private void forEach(Tensor buffer, Visitor visitor) {
        long offset = 0;
        for (ModuleShape module : modules) {
            int r = config.r(module.path());
            long sizeA = r * module.inFeatures();
            visitor.visit(module, buffer.view(offset, r, module.inFeatures()),
                    buffer.view(offset + sizeA, r, module.outFeatures()));
            offset += sizeA + r * module.outFeatures();
        }
    }

    /** B as PEFT has it is a copy, A a view. */
    @Override
    public NamedTensors named(Tensor buffer, NamedTensors result) {
        forEach(buffer, (module, a, bt) -> {
            result.view(PeftKeys.loraA(module.path()), a);
            Tensor b = result.allocate(module.outFeatures(), a.dimension(0));
            Floats.transpose(bt, b);
            result.view(PeftKeys.loraB(module.path()), b);
        });
        return result;
    }

    @Override
    protected void copy(Map<String, Tensor> from, Tensor buffer) {
        forEach(buffer, (module, a, bt) -> {
            a.copyFrom(from.get(PeftKeys.loraA(module.path())));
            Floats.transpose(from.get(PeftKeys.loraB(module.path())), bt);
        });
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

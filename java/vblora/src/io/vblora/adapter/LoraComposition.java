package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Plain LoRA: the packed matrices are the parameters themselves. */
final class LoraComposition implements Composition {
    private final Device device;
    private final String source;
    private final List<ModuleShape> modules;
    private final int r;
    private final Tensor packed;
    private Training training;
    private long version;

    /** Gradient and optimizer state of the whole packed buffer. */
    private final class Training implements AutoCloseable {
        final Tensors owned = new Tensors(device);
        final Tensor scratch;
        final Tensor gradient;
        final Tensor expAvg;
        final Tensor expAvgSq;

        Training(Stream stream) {
            scratch = owned.allocate(DType.UINT8, Optimizer.sumSquaresScratchBytes(stream, packed.elements()));
            gradient = owned.allocate(DType.FLOAT32, packed.elements());
            expAvg = owned.allocate(DType.FLOAT32, packed.elements());
            expAvgSq = owned.allocate(DType.FLOAT32, packed.elements());
        }

        @Override
        public void close() {
            owned.close();
        }
    }

    /** Allocates the parameters, all zero. */
    LoraComposition(Device device, LoraConfig config, List<ModuleShape> modules) {
        this.device = device;
        this.source = config.source();
        this.modules = modules;
        this.r = config.r();
        long elements = modules.stream().mapToLong(module -> r * (module.inFeatures() + module.outFeatures())).sum();
        this.packed = Tensor.allocate(device, DType.FLOAT32, elements);
    }

    /** A kaiming-uniform with a = sqrt(5), which is uniform within 1 / sqrt(in); B zero: as PEFT begins. */
    void initialize(LoraConfig config, long seed) {
        if (!config.defaultInit()) {
            throw new InputException(source, "init_lora_weights", config.json().get("init_lora_weights").toString(),
                    "true: new adapters begin with A kaiming-uniform and B zero");
        }
        SplittableRandom random = new SplittableRandom(seed);
        forEach(packed, (module, a, bt) -> {
            double bound = 1 / Math.sqrt(module.inFeatures());
            Floats.fill(a, () -> (2 * random.nextDouble() - 1) * bound);
        });
        version++;
    }

    /** Sets a module's matrices: A [r, in], B [out, r]. */
    void set(ModuleShape target, Tensor newA, Tensor newB) {
        forEach(packed, (module, a, bt) -> {
            if (module == target) {
                a.copyFrom(newA);
                Floats.transpose(newB, bt);
            }
        });
        version++;
    }

    private interface Visitor {
        void visit(ModuleShape module, Tensor a, Tensor bt);
    }

    /** A [r, in] and Bᵀ [r, out] of every module in a buffer laid out like the packed one. */
    private void forEach(Tensor buffer, Visitor visitor) {
        long offset = 0;
        for (ModuleShape module : modules) {
            long sizeA = r * module.inFeatures();
            visitor.visit(module, buffer.view(offset, r, module.inFeatures()),
                    buffer.view(offset + sizeA, r, module.outFeatures()));
            offset += sizeA + r * module.outFeatures();
        }
    }

    /** A buffer laid out like the packed one under PEFT's names, B as PEFT has it: a copy. */
    private NamedTensors named(Stream stream, Tensor buffer, NamedTensors result) {
        stream.synchronize();
        forEach(buffer, (module, a, bt) -> {
            result.view(PeftKeys.loraA(module.path()), a);
            Tensor b = result.allocate(module.outFeatures(), r);
            Floats.transpose(bt, b);
            result.view(PeftKeys.loraB(module.path()), b);
        });
        return result;
    }

    private Training training() {
        if (training == null) {
            throw new IllegalStateException("Training is not enabled");
        }
        return training;
    }

    @Override
    public List<ParameterGroup> groups() {
        return List.of(ParameterGroup.OTHER);
    }

    @Override
    public Tensor packed() {
        return packed;
    }

    @Override
    public long version() {
        return version;
    }

    @Override
    public long parameterCount() {
        return packed.elements();
    }

    @Override
    public boolean trainable() {
        return true;
    }

    @Override
    public void enableTraining(Stream stream, double weightDecay) {
        verify(stream);
        if (training != null) {
            training.close();
            training = null;
        }
        training = new Training(stream);
    }

    @Override
    public Tensor packedGradient() {
        return training().gradient;
    }

    /** Nothing to do: the packed gradient is the parameters' gradient. */
    @Override
    public void backward(Stream stream) {
        training();
    }

    @Override
    public void sumSquares(Stream stream, Tensor sum) {
        Optimizer.sumSquares(stream, training().gradient, sum, training.scratch);
    }

    @Override
    public void update(Stream stream, StepState step) {
        Training t = training();
        Optimizer.adamw(stream, step, ParameterGroup.OTHER.index(), packed, t.gradient, t.expAvg, t.expAvgSq);
        version++;
    }

    @Override
    public void verify(Stream stream) {
        forEach(packed, (module, a, bt) -> {
            Floats.requireFinite(stream, source, PeftKeys.loraA(module.path()), a);
            Floats.requireFinite(stream, source, PeftKeys.loraB(module.path()), bt);
        });
    }

    @Override
    public NamedTensors parameters(Stream stream) {
        return named(stream, packed, new NamedTensors());
    }

    @Override
    public NamedTensors gradients(Stream stream) {
        return named(stream, training().gradient, new NamedTensors());
    }

    @Override
    public Moments moments(Stream stream) {
        Training t = training();
        return Moments.of((first, second) -> {
            named(stream, t.expAvg, first);
            named(stream, t.expAvgSq, second);
        });
    }

    @Override
    public void loadMoments(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {
        try (Moments moments = moments(stream)) {
            moments.expAvg().check(source, expAvg);
            moments.expAvgSq().check(source, expAvgSq);
        }
        copy(expAvg, training.expAvg);
        copy(expAvgSq, training.expAvgSq);
    }

    private void copy(Map<String, Tensor> from, Tensor buffer) {
        forEach(buffer, (module, a, bt) -> {
            a.copyFrom(from.get(PeftKeys.loraA(module.path())));
            Floats.transpose(from.get(PeftKeys.loraB(module.path())), bt);
        });
    }

    @Override
    public void close() {
        packed.close();
        if (training != null) {
            training.close();
        }
    }
}

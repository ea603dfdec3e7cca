package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.global.vblora;
import io.vblora.kernels.ops.ActiveSet;
import io.vblora.kernels.ops.Admixture;
import io.vblora.kernels.ops.AdmixtureShape;
import io.vblora.kernels.ops.Optimizer;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.Floats;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.ParameterLayout;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.LongStream;

/**
 * VB-LoRA: every sub-vector of A and B is a top-k admixture of a shared vector bank. The logits of all modules are the
 * rows of one matrix, in PEFT's order: for each module first A's [r, in / vector_length], then B's [out /
 * vector_length, r]. Each row has a slot in the packed buffer, where B is transposed.
 *
 * <p>The selection (indices and weights) always belongs to the current logits: loading selects, and every update
 * selects again. Without weight decay, and with a large bank, AdamW runs over active sets, and {@code logits} holds
 * only the inactive entries until {@link #parameters} or {@link #moments} store the active ones.
 */
final class VbLoraComposition implements Composition {
    /** A bank from this size on is updated by active sets. */
    static final int ACTIVE_SET_NUM_VECTORS = 256;
    /** Entries of a row's active list at the beginning. */
    static final int ACTIVE_SET_CAPACITY = 64;
    /** A row is scanned anew when fewer than topk of so many, or of four times topk, are left. */
    private static final int CANDIDATES = 16;

    private final Device device;
    private final String source;
    private final Tensors memory;
    private final int numVectors;
    private final int topk;
    private final List<LogitsBlock> blocks;
    private final ParameterLayout logitsLayout;
    private final ParameterLayout bankLayout;
    private final AdmixtureShape shape;
    private final Tensor bank;
    private final Tensor logits;
    private final Tensor indices;
    private final Tensor weights;
    private final Tensor packed;
    private final Tensor badRow;
    private final int activeSetNumVectors;
    private final int activeSetCapacity;
    private Training training;
    private String logitsSource;
    private long version;

    /** The logits of one matrix: rows of the logits matrix under PEFT's name and leading dimensions. */
    record LogitsBlock(String name, long firstRow, long dimension0, long dimension1) {
        long rows() {
            return dimension0 * dimension1;
        }

        /** PEFT's shape of a tensor that has so many numbers per row. */
        long[] shape(long columns) {
            return new long[] {dimension0, dimension1, columns};
        }

        /** This block's rows of a matrix of so many columns, in PEFT's shape. */
        Tensor view(Tensor matrix, long columns) {
            return matrix.view(firstRow * columns, shape(columns));
        }
    }

    /** Gradients and optimizer state. */
    private final class Training implements AutoCloseable {
        final Tensors owned = new Tensors(device);
        final Tensor dpacked = owned.allocate(DType.FLOAT32, packed.elements());
        final Tensor dbank = owned.allocate(DType.FLOAT32, bank.shape());
        final Tensor dlogits = owned.allocate(DType.FLOAT32, indices.shape());
        final Tensor bankExpAvg = owned.allocate(DType.FLOAT32, bank.shape());
        final Tensor bankExpAvgSq = owned.allocate(DType.FLOAT32, bank.shape());
        final Tensor scratch;
        /** Moments of all logits, or null with an active set. */
        final Tensor expAvg;
        final Tensor expAvgSq;
        ActiveSet active;
        /** Of the fullest row of {@code active}. */
        ActiveCount count;

        Training(Stream stream, boolean activeSet) {
            try {
                scratch = owned.allocate(DType.UINT8, scratchBytes(stream, activeSet));
                expAvg = activeSet ? null : owned.allocate(DType.FLOAT32, logits.shape());
                expAvgSq = activeSet ? null : owned.allocate(DType.FLOAT32, logits.shape());
                if (activeSet) {
                    count = new ActiveCount(device, topk);
                    load(stream, Math.max(topk, Math.min(numVectors, activeSetCapacity)), null, null);
                }
            } catch (RuntimeException | Error e) {
                close();
                throw e;
            }
        }

        private long scratchBytes(Stream stream, boolean activeSet) {
            long bytes = Math.max(Admixture.backwardScratchBytes(stream, shape),
                    Math.max(Optimizer.sumSquaresScratchBytes(stream, bank.elements()),
                            Optimizer.sumSquaresScratchBytes(stream, dlogits.elements())));
            return activeSet ? Math.max(bytes, Optimizer.activeScratchBytes(stream, shape)) : bytes;
        }

        private ActiveSet newActiveSet(int capacity) {
            return new ActiveSet(device, shape, capacity, Math.max(CANDIDATES, 4 * topk));
        }

        /** Builds the active set from logits and moments, in lists long enough. */
        void load(Stream stream, int capacity, Tensor expAvg, Tensor expAvgSq) {
            ActiveSet loaded = newActiveSet(capacity);
            try {
                activeLoad(stream, loaded, expAvg, expAvgSq);
            } catch (RuntimeException | Error e) {
                loaded.close();
                throw e;
            }
            int need = loaded.maxCount().toInts()[0];
            if (need > capacity) {
                loaded.close();
                load(stream, Math.min(numVectors, 2 * need), expAvg, expAvgSq);
                return;
            }
            replace(loaded);
            count.restart(need);
        }

        /** Loads, or leaves a need beyond the capacity in max_count: a CPU op says so as well, a CUDA stream cannot. */
        private void activeLoad(Stream stream, ActiveSet loaded, Tensor expAvg, Tensor expAvgSq) {
            try {
                Optimizer.activeLoad(stream, shape, loaded, logits, expAvg, expAvgSq, scratch);
            } catch (KernelException e) {
                if (e.status() != vblora.VBL_CAPACITY) {
                    throw e;
                }
            }
        }

        /** Makes room for what one update can add. */
        void grow(Stream stream) {
            if (fits(count.atMost())) {
                return;
            }
            int needed = count.atMostAfterWaiting();
            if (fits(needed)) {
                return;
            }
            ActiveSet larger = newActiveSet(Math.min(numVectors, Math.max(2 * active.capacity(), needed + topk)));
            try {
                Optimizer.activeCopy(stream, shape, active, larger);
                stream.synchronize();  // before the smaller one is freed
            } catch (RuntimeException | Error e) {
                larger.close();
                throw e;
            }
            replace(larger);
        }

        private boolean fits(int entries) {
            return active.capacity() >= Math.min(numVectors, (long) entries + topk);
        }

        private void replace(ActiveSet next) {
            if (active != null) {
                active.close();
            }
            active = next;
        }

        @Override
        public void close() {
            owned.close();
            if (active != null) {
                active.close();
            }
            if (count != null) {
                count.close();
            }
        }
    }

    /**
     * Allocates everything; the parameters are zero. Fill {@link #bank} and the logits, then {@link #select}; or, for
     * top-k-only adapters, the bank and the selection, then {@link #compose}.
     *
     * @param hasLogits false for adapters that were stored with top-k weights alone
     * @param logitsSource where the logits come from, for messages: until the first update
     */
    VbLoraComposition(Device device, VbLoraConfig config, List<ModuleShape> modules, boolean hasLogits,
            String logitsSource) {
        this(device, config, modules, hasLogits, logitsSource, ACTIVE_SET_NUM_VECTORS, ACTIVE_SET_CAPACITY);
    }

    VbLoraComposition(Device device, VbLoraConfig config, List<ModuleShape> modules, boolean hasLogits,
            String logitsSource, int activeSetNumVectors, int activeSetCapacity) {
        int vectorLength = config.vectorLength();
        this.device = device;
        this.source = config.source();
        this.logitsSource = logitsSource;
        this.numVectors = config.numVectors();
        this.topk = config.topk();
        this.activeSetNumVectors = activeSetNumVectors;
        this.activeSetCapacity = activeSetCapacity;
        this.blocks = blocks(config, modules);
        LogitsBlock last = blocks.get(blocks.size() - 1);
        long rows = last.firstRow() + last.rows();
        if (rows > Integer.MAX_VALUE) {
            throw new InputException(source, "vector_length", rows + " sub-vectors", "at most " + Integer.MAX_VALUE);
        }
        ParameterLayout.Builder layout = ParameterLayout.builder();
        blocks.forEach(block -> layout.add(block.name(), block.shape(numVectors)));
        this.logitsLayout = layout.build();
        this.bankLayout = ParameterLayout.builder().add(PeftKeys.VECTOR_BANK, numVectors, vectorLength).build();
        int[] slots = slots((int) rows);
        this.memory = new Tensors(device);
        this.shape = new AdmixtureShape(rows, numVectors, vectorLength, topk,
                memory.allocate(DType.INT32, rows).copyFrom(slots));
        this.bank = memory.allocate(DType.FLOAT32, numVectors, vectorLength);
        this.logits = hasLogits ? memory.allocate(DType.FLOAT32, rows, numVectors) : null;
        this.indices = memory.allocate(DType.INT32, rows, topk);
        this.weights = memory.allocate(DType.FLOAT32, rows, topk);
        this.packed = memory.allocate(DType.FLOAT32, shape.packedElements());
        this.badRow = memory.allocate(DType.INT64, 1);
    }

    private static List<LogitsBlock> blocks(VbLoraConfig config, List<ModuleShape> modules) {
        List<LogitsBlock> blocks = new ArrayList<>();
        long row = 0;
        for (ModuleShape module : modules) {
            long columnsA = divide(config, modules, module, "in_features", module.inFeatures());
            long columnsB = divide(config, modules, module, "out_features", module.outFeatures());
            blocks.add(new LogitsBlock(PeftKeys.logitsA(module.path()), row, config.r(), columnsA));
            row += config.r() * columnsA;
            blocks.add(new LogitsBlock(PeftKeys.logitsB(module.path()), row, columnsB, config.r()));
            row += config.r() * columnsB;
        }
        return List.copyOf(blocks);
    }

    private static long divide(VbLoraConfig config, List<ModuleShape> modules, ModuleShape module, String dimension,
            long size) {
        if (size % config.vectorLength() != 0) {
            BigInteger common = modules.stream()
                    .flatMapToLong(m -> LongStream.of(m.inFeatures(), m.outFeatures()))
                    .mapToObj(BigInteger::valueOf).reduce(BigInteger.ZERO, BigInteger::gcd);
            throw new InputException(config.source(), "vector_length",
                    config.vectorLength() + ", which does not divide " + dimension + " " + size + " of "
                    + module.path(), "a divisor of every adapted dimension, that is of " + common);
        }
        return size / config.vectorLength();
    }

    /** A's rows lie in order; row (t, i) of B goes to sub-vector t of row i of the transpose. */
    private int[] slots(int rows) {
        int[] slot = new int[rows];
        for (int block = 0; block < blocks.size(); block++) {
            LogitsBlock b = blocks.get(block);
            int first = (int) b.firstRow();
            for (int row = 0; row < b.rows(); row++) {
                int i = row / (int) b.dimension1();
                int j = row % (int) b.dimension1();
                slot[first + row] = first + (block % 2 == 0 ? row : j * (int) b.dimension0() + i);
            }
        }
        return slot;
    }

    /** The parameters as PEFT initialises a new adapter, drawn from our own generator: the same for the same seed. */
    void initialize(VbLoraConfig config, long seed, Stream stream) {
        SplittableRandom random = new SplittableRandom(seed);
        double bound = config.initVectorBankBound();
        Floats.fill(bank, () -> (2 * random.nextDouble() - 1) * bound);
        Floats.fill(logits, () -> random.nextGaussian() * config.initLogitsStd());
        select(stream);
    }

    /** Logits -> selection -> packed, after the logits were written. */
    void select(Stream stream) {
        Admixture.select(stream, shape, logits, indices, weights, badRow);
        checkSelected(stream);
        compose(stream);
    }

    /** Selection -> packed, after bank and selection were written. */
    void compose(Stream stream) {
        Admixture.compose(stream, shape, bank, indices, weights, packed);
        version++;
    }

    private void checkSelected(Stream stream) {
        stream.synchronize();
        long row = badRow.getLong(0);
        if (row >= 0) {
            LogitsBlock block = blocks.stream().filter(b -> row < b.firstRow() + b.rows()).findFirst().orElseThrow();
            throw new InputException(logitsSource, block.name(), "a NaN, or no finite largest logit, in sub-vector "
                    + (row - block.firstRow()), "numbers");
        }
    }

    /** Logits blocks of all modules, A before B. */
    List<LogitsBlock> blocks() {
        return blocks;
    }

    /** float32 [num_vectors, vector_length]. */
    Tensor bank() {
        return bank;
    }

    /** float32 [rows, num_vectors]; stale in training with active sets. */
    Tensor logits() {
        return logits;
    }

    /** int32 [rows, topk]. */
    Tensor indices() {
        return indices;
    }

    /** float32 [rows, topk]. */
    Tensor weights() {
        return weights;
    }

    @Override
    public List<ParameterGroup> groups() {
        return List.of(ParameterGroup.VECTOR_BANK, ParameterGroup.LOGITS);
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
        return bank.elements() + shape.rows() * numVectors;
    }

    @Override
    public boolean trainable() {
        return logits != null;
    }

    private void requireTrainable(String purpose) {
        if (!trainable()) {
            throw new InputException(source, "save_only_topk_weights", "true: the adapter holds selected weights alone",
                    "an adapter stored with all its logits, " + purpose);
        }
    }

    private Training training() {
        if (training == null) {
            throw new IllegalStateException("Training is not enabled");
        }
        return training;
    }

    @Override
    public void enableTraining(Stream stream, double weightDecay) {
        requireTrainable("to train it");
        storeActive(stream);
        if (training != null) {
            training.close();
            training = null;
        }
        Floats.requireFinite(stream, source, PeftKeys.VECTOR_BANK, bank);
        for (LogitsBlock block : blocks) {
            Floats.requireFinite(stream, logitsSource, block.name(), block.view(logits, numVectors));
        }
        training = new Training(stream, weightDecay == 0 && numVectors >= activeSetNumVectors);
    }

    @Override
    public Tensor packedGradient() {
        return training().dpacked;
    }

    @Override
    public void backward(Stream stream) {
        Training t = training();
        Admixture.backward(stream, shape, bank, indices, weights, t.dpacked, t.dlogits, t.dbank, t.scratch);
    }

    @Override
    public void sumSquares(Stream stream, Tensor sum) {
        Training t = training();
        Optimizer.sumSquares(stream, t.dbank, sum, t.scratch);
        Optimizer.sumSquares(stream, t.dlogits, sum, t.scratch);
    }

    @Override
    public void update(Stream stream, StepState step) {
        Training t = training();
        logitsSource = source;
        Optimizer.adamw(stream, step, ParameterGroup.VECTOR_BANK.index(), bank, t.dbank, t.bankExpAvg, t.bankExpAvgSq);
        if (t.active != null) {
            t.grow(stream);
            Optimizer.adamwActiveSelect(stream, shape, t.active, step, ParameterGroup.LOGITS.index(), logits, t.dlogits,
                    indices, weights, badRow, t.scratch);
            t.count.updated(stream, t.active);
        } else {
            Optimizer.adamwSelect(stream, shape, step, ParameterGroup.LOGITS.index(), logits, t.dlogits, t.expAvg,
                    t.expAvgSq, indices, weights, badRow);
        }
        compose(stream);
    }

    @Override
    public void verify(Stream stream) {
        checkSelected(stream);
        Floats.requireFinite(stream, source, PeftKeys.VECTOR_BANK, bank);
    }

    /** Brings the dense logits up to date. */
    private void storeActive(Stream stream) {
        if (training != null && training.active != null) {
            Optimizer.activeStore(stream, shape, training.active, logits, null, null);
        }
    }

    @Override
    public NamedTensors parameters(Stream stream) {
        requireTrainable("to give its logits");
        storeActive(stream);
        stream.synchronize();
        return named(new NamedTensors(device), logits, bank);
    }

    /** With active sets this needs room for the moments of all logits meanwhile. */
    @Override
    public void loadParameters(Stream stream, Map<String, Tensor> values) {
        requireTrainable("to set its logits");
        stream.synchronize();
        for (ParameterLayout layout : List.of(logitsLayout, bankLayout)) {
            layout.check(source, values);
            layout.requireFinite(source, values);
        }
        if (training != null && training.active != null) {
            try (Tensors moments = new Tensors(device)) {
                Tensor expAvg = moments.allocate(DType.FLOAT32, logits.shape());
                Tensor expAvgSq = moments.allocate(DType.FLOAT32, logits.shape());
                Optimizer.activeStore(stream, shape, training.active, logits, expAvg, expAvgSq);
                stream.synchronize();
                copy(values, logits, bank);
                training.load(stream, training.active.capacity(), expAvg, expAvgSq);
            }
        } else {
            copy(values, logits, bank);
        }
        logitsSource = source;
        select(stream);
    }

    @Override
    public NamedTensors gradients(Stream stream) {
        Training t = training();
        stream.synchronize();
        int[] index = indices.toInts();
        float[] value = t.dlogits.toFloats();
        NamedTensors gradients = new NamedTensors(Device.CPU);
        Tensor dense = gradients.allocate(DType.FLOAT32, logits.shape());
        for (int i = 0; i < index.length; i++) {
            dense.setFloat((long) (i / topk) * numVectors + index[i], value[i]);
        }
        return named(gradients, dense, t.dbank);
    }

    @Override
    public Moments moments(Stream stream) {
        Training t = training();
        return Moments.of(device, (first, second) -> {
            boolean dense = t.active == null;
            Tensor expAvg = dense ? t.expAvg : first.allocate(DType.FLOAT32, logits.shape());
            Tensor expAvgSq = dense ? t.expAvgSq : second.allocate(DType.FLOAT32, logits.shape());
            if (!dense) {
                Optimizer.activeStore(stream, shape, t.active, logits, expAvg, expAvgSq);
            }
            stream.synchronize();
            named(first, expAvg, t.bankExpAvg);
            named(second, expAvgSq, t.bankExpAvgSq);
        });
    }

    @Override
    public void loadMoments(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq) {
        Training t = training();
        try (NamedTensors first = new NamedTensors(device); NamedTensors second = new NamedTensors(device)) {
            boolean dense = t.active == null;
            Tensor m = dense ? t.expAvg : first.allocate(DType.FLOAT32, logits.shape());
            Tensor v = dense ? t.expAvgSq : second.allocate(DType.FLOAT32, logits.shape());
            for (Map<String, Tensor> moment : List.of(expAvg, expAvgSq)) {
                logitsLayout.check(source, moment);
                bankLayout.check(source, moment);
            }
            copy(expAvg, m, t.bankExpAvg);
            copy(expAvgSq, v, t.bankExpAvgSq);
            if (!dense) {
                storeActive(stream);
                t.load(stream, t.active.capacity(), m, v);
            }
        }
    }

    private NamedTensors named(NamedTensors result, Tensor matrix, Tensor bankLike) {
        logitsLayout.addTo(result, matrix);
        bankLayout.addTo(result, bankLike);
        return result;
    }

    private void copy(Map<String, Tensor> from, Tensor matrix, Tensor bankLike) {
        logitsLayout.copy(from, matrix);
        bankLayout.copy(from, bankLike);
    }

    @Override
    public void close() {
        memory.close();
        if (training != null) {
            training.close();
        }
    }
}

package io.vblora.adapter.methods.vblora;

import io.vblora.InputException;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.StoredForm;
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
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * VB-LoRA: every sub-vector of A and B is a top-k admixture of a shared vector bank. The logits of all modules are the
 * {@linkplain LogitsRows rows} of one matrix; each row has a slot in the packed buffer, where B is transposed.
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
    private final VbLoraConfig config;
    private final String source;
    private final Tensors memory;
    private final int numVectors;
    private final int topk;
    private final LogitsRows rows;
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
    /** Whose weights are those of a file, in float32, and are stored as they are. */
    private final Set<LogitsRows.Block> exact = new HashSet<>();
    private Training training;
    private String logitsSource;
    private long version;

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
        this.config = config;
        this.source = config.source();
        this.logitsSource = logitsSource;
        this.numVectors = config.numVectors();
        this.topk = config.topk();
        this.activeSetNumVectors = activeSetNumVectors;
        this.activeSetCapacity = activeSetCapacity;
        this.rows = LogitsRows.of(config, modules);
        long count = rows.count();
        if (count > Integer.MAX_VALUE) {
            throw new InputException(source, "vector_length", count + " sub-vectors", "at most " + Integer.MAX_VALUE);
        }
        this.logitsLayout = rows.layout(numVectors);
        this.bankLayout = config.bankLayout();
        int[] slots = rows.slots();
        this.memory = new Tensors(device);
        this.shape = new AdmixtureShape(count, numVectors, vectorLength, topk,
                memory.allocate(DType.INT32, count).copyFrom(slots));
        this.bank = memory.allocate(DType.FLOAT32, numVectors, vectorLength);
        this.logits = hasLogits ? memory.allocate(DType.FLOAT32, count, numVectors) : null;
        this.indices = memory.allocate(DType.INT32, count, topk);
        this.weights = memory.allocate(DType.FLOAT32, count, topk);
        this.packed = memory.allocate(DType.FLOAT32, shape.packedElements());
        this.badRow = memory.allocate(DType.INT64, 1);
    }

    /** The parameters as PEFT initialises a new adapter, drawn from our own generator: the same for the same seed. */
    void initialize(VbLoraConfig config, long seed, Stream stream) {
        SplittableRandom random = new SplittableRandom(seed);
        double bound = config.initVectorBankBound();
        Floats.fill(bank, () -> (2 * random.nextDouble() - 1) * bound);
        Floats.fill(logits, () -> random.nextGaussian() * config.initLogitsStd());
        select(stream);
    }

    /** The parameters of a file, whose tensors are there. */
    void read(VbLoraConfig config, PeftFile file, Stream stream) {
        file.readFinite(bankLayout, bank);
        if (trainable()) {
            rows.blocks().forEach(block -> file.expect(block.name(), "r, num_vectors", block.shape(numVectors)));
            file.read(logitsLayout, logits);
            select(stream);
            return;
        }
        for (LogitsRows.Block block : rows.blocks()) {
            if (TopkWeights.read(file, config, block, indices, weights)) {
                exact.add(block);
            }
        }
        compose(stream);
    }

    @Override
    public NamedTensors stored(StoredForm form, Stream stream) {
        if (!form.equals(VbLoraMethod.ONLY_TOPK_WEIGHTS)) {
            return parameters(stream);
        }
        stream.synchronize();
        NamedTensors result = new NamedTensors(Device.CPU);
        try {
            bankLayout.addTo(result, bank);
            rows.blocks().forEach(block -> TopkWeights.addTo(result, block, numVectors, topk, indices, weights,
                    exact.contains(block)));
            return result;
        } catch (RuntimeException | Error e) {
            result.close();
            throw e;
        }
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
            LogitsRows.Block block = rows.of(row);
            throw new InputException(logitsSource, block.name(), "a NaN, or no finite largest logit, in sub-vector "
                    + (row - block.firstRow()), "numbers");
        }
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
            config.requireTrainable(purpose);
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
        Floats.requireFinite(stream, source, VbLoraKeys.VECTOR_BANK, bank);
        logitsLayout.requireFinite(logitsSource, logits);
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
        Floats.requireFinite(stream, source, VbLoraKeys.VECTOR_BANK, bank);
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

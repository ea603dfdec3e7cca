package io.vblora.adapter.methods.vblora;

import io.vblora.InputException;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.ops.Admixture;
import io.vblora.kernels.ops.AdmixtureShape;
import io.vblora.kernels.ops.GradientNorm;
import io.vblora.parameters.DenseParameters;
import io.vblora.parameters.FloatTensors;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.ParameterLayout;
import io.vblora.parameters.SelectedLogits;
import io.vblora.parameters.TrainedParameters;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;

/**
 * VB-LoRA: every sub-vector of A and B is a top-k admixture of a shared vector bank. The logits of all modules are the
 * {@linkplain LogitsRows rows} of one matrix; each row has a slot in the packed buffer, where B is transposed.
 *
 * <p>The selection (indices and weights) always belongs to the current logits: it is made when they are loaded, and
 * again after every update, either by the optimizer as part of the update or here. During training the optimizer may
 * have the present values of the logits until {@link #parameters} asks for them. {@link SelectedLogits} says what both
 * sides may rely on.
 */
final class VbLoraComposition implements Composition {
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
    /** The blocks whose weights were read from a file as float32, and are stored again unchanged. */
    private final Set<LogitsRows.Block> exact = new HashSet<>();
    private Training training;
    private String logitsSource;
    private long version;

    /** The gradients. */
    private final class Training implements AutoCloseable {
        final Tensors owned = new Tensors(device);
        final Tensor dpacked = owned.allocate(DType.FLOAT32, packed.elements());
        final Tensor dbank = owned.allocate(DType.FLOAT32, bank.shape());
        final Tensor dlogits = owned.allocate(DType.FLOAT32, indices.shape());
        final Tensor scratch;
        final DenseParameters trainedBank;
        final SelectedLogits trainedLogits;

        Training(Stream stream) {
            try {
                scratch = owned.allocate(DType.UINT8, Math.max(Admixture.backwardScratchBytes(stream, shape),
                        Math.max(GradientNorm.sumSquaresScratchBytes(stream, bank.elements()),
                                GradientNorm.sumSquaresScratchBytes(stream, dlogits.elements()))));
            } catch (RuntimeException | Error e) {
                close();
                throw e;
            }
            trainedBank = new DenseParameters(VbLoraMethod.VECTOR_BANK, bankLayout, bank, dbank);
            trainedLogits = new SelectedLogits(VbLoraMethod.LOGITS, logitsLayout, shape, logits, dlogits, indices,
                    weights, badRow);
        }

        @Override
        public void close() {
            owned.close();
        }
    }

    /**
     * Allocates everything; the parameters are zero. Fill {@link #bank} and the logits, and then call {@link #select};
     * or, for top-k-only adapters, fill the bank and the selection, and then call {@link #compose}.
     *
     * @param hasLogits false for adapters that were stored with top-k weights alone
     * @param logitsSource what messages call the source of the logits until the first update
     */
    VbLoraComposition(Device device, VbLoraConfig config, List<ModuleShape> modules, boolean hasLogits,
            String logitsSource) {
        int vectorLength = config.vectorLength();
        this.device = device;
        this.config = config;
        this.source = config.source();
        this.logitsSource = logitsSource;
        this.numVectors = config.numVectors();
        this.topk = config.topk();
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

    /** Sets the parameters as PEFT does in a new adapter. The same seed always draws the same numbers. */
    void initialize(VbLoraConfig config, long seed, Stream stream) {
        SplittableRandom random = new SplittableRandom(seed);
        double bound = config.initVectorBankBound();
        FloatTensors.fill(bank, () -> (2 * random.nextDouble() - 1) * bound);
        FloatTensors.fill(logits, () -> random.nextGaussian() * config.initLogitsStd());
        select(stream);
    }

    /** Reads the parameters of a file, which is known to have all tensors. */
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

    /** Selects and composes after the logits were written. */
    void select(Stream stream) {
        Admixture.select(stream, shape, logits, indices, weights, badRow);
        checkSelected(stream);
        compose(stream);
    }

    /** Composes after the bank and the selection were written. */
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

    /** float32 [rows, num_vectors]; out of date while an optimizer has the present values. */
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
        return List.of(VbLoraMethod.VECTOR_BANK, VbLoraMethod.LOGITS);
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
    public void enableTraining(Stream stream) {
        requireTrainable("to train it");
        if (training != null) {
            takeBackLogits(stream);
            training.close();
            training = null;
        }
        FloatTensors.requireFinite(stream, source, VbLoraKeys.VECTOR_BANK, bank);
        logitsLayout.requireFinite(logitsSource, logits);
        training = new Training(stream);
    }

    /** Takes the present values of the logits back from an optimizer. */
    private void takeBackLogits(Stream stream) {
        training().trainedLogits.takeBack(stream);
        stream.synchronize();
    }

    @Override
    public List<TrainedParameters> trained(Stream stream) {
        takeBackLogits(stream);
        return List.of(training().trainedBank, training().trainedLogits);
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
        GradientNorm.sumSquares(stream, t.dbank, sum, t.scratch);
        GradientNorm.sumSquares(stream, t.dlogits, sum, t.scratch);
    }

    @Override
    public void refresh(Stream stream) {
        if (!training().trainedLogits.areSelectedByOptimizer()) {
            Admixture.select(stream, shape, logits, indices, weights, badRow);
        }
        Admixture.compose(stream, shape, bank, indices, weights, packed);
    }

    @Override
    public void updated() {
        logitsSource = source;
        version++;
    }

    @Override
    public void verify(Stream stream) {
        checkSelected(stream);
        FloatTensors.requireFinite(stream, source, VbLoraKeys.VECTOR_BANK, bank);
    }

    /** Brings the logits up to date. */
    private void storeLogits(Stream stream) {
        if (training != null) {
            training.trainedLogits.store(stream);
        }
    }

    @Override
    public NamedTensors parameters(Stream stream) {
        requireTrainable("to give its logits");
        storeLogits(stream);
        stream.synchronize();
        return named(new NamedTensors(device), logits, bank);
    }

    @Override
    public void loadParameters(Stream stream, Map<String, Tensor> values) {
        requireTrainable("to set its logits");
        stream.synchronize();
        for (ParameterLayout layout : List.of(logitsLayout, bankLayout)) {
            layout.check(source, values);
            layout.requireFinite(source, values);
        }
        Runnable write = () -> { // runs once the optimizer has all the room that it needs for that
            bankLayout.copy(values, bank);
            logitsLayout.copy(values, logits);
        };
        if (training == null) {
            write.run();
        } else {
            training.trainedLogits.rewrite(stream, write);
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

    private NamedTensors named(NamedTensors result, Tensor matrix, Tensor bankLike) {
        logitsLayout.addTo(result, matrix);
        bankLayout.addTo(result, bankLike);
        return result;
    }

    @Override
    public void close() {
        if (training != null) {
            training.trainedLogits.keptBy(null); // there is nothing left to store
            training.close();
        }
        memory.close();
    }
}

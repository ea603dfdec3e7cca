package io.vblora.adapter.methods.vblora;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.BaseWeights;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.adapter.peft.StoredTensor;
import io.vblora.parameters.ParameterLayout;
import java.math.BigInteger;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** PEFT's {@code VBLoRAConfig}: low-rank updates from a shared vector bank (Li, Han, Ji, 2024, arXiv 2405.15179). */
public final class VbLoraConfig extends AdapterConfig {
    private static final Set<String> KEYS = Set.of("init_logits_std", "init_vector_bank_bound", "num_vectors",
            "save_only_topk_weights", "topk", "vblora_dropout", "vector_length");

    /** PEFT's default, and the paper's. */
    private static final int DEFAULT_VECTOR_LENGTH = 256;
    /** Vectors shorter than this are much shorter than the paper's. */
    private static final int SHORT = 8;
    /** Larger banks and longer vectors are refused, since nobody can mean them. */
    private static final int MAX_SIZE = 1 << 24;
    /** Larger initial values are refused, since nobody can mean them. Up to here, float32 is far from its overflow. */
    private static final double MAX_INITIAL = 1e6;

    private final int numVectors;
    private final int vectorLength;
    private final int topk;
    private final boolean saveOnlyTopkWeights;
    private final double initVectorBankBound;
    private final double initLogitsStd;

    VbLoraConfig(JsonFields fields) {
        super(fields, 4, "vblora_dropout", KEYS);
        this.numVectors = (int) fields.integer("num_vectors", 1, MAX_SIZE, 256);
        this.vectorLength = (int) fields.integer("vector_length", 1, MAX_SIZE, DEFAULT_VECTOR_LENGTH);
        this.topk = (int) fields.integer("topk", 1, MAX_SIZE, 2);
        if (topk > numVectors) {
            throw fields.wrong("topk", "at most num_vectors, which is " + numVectors);
        }
        if (modules().adaptsNothing()) {
            throw fields.wrong("target_modules", "modules to adapt: without any, VB-LoRA has no bank to share");
        }
        this.saveOnlyTopkWeights = fields.bool("save_only_topk_weights", false);
        this.initVectorBankBound = fields.number("init_vector_bank_bound", 0, MAX_INITIAL, 0.02);
        this.initLogitsStd = fields.number("init_logits_std", 0, MAX_INITIAL, 0.1);
    }

    @Override
    public VbLoraMethod method() {
        return VbLoraMethod.INSTANCE;
    }

    @Override
    public Map<String, Object> facts() {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("num_vectors", numVectors);
        facts.put("vector_length", vectorLength);
        facts.put("topk", topk);
        facts.put("save_only_topk_weights", saveOnlyTopkWeights);
        return facts;
    }

    @Override
    public Optional<Fitting> fitting(List<ModuleShape> linears) {
        VbLoraConfig fitting = toBuilder().vectorLengthFor(linears).build();
        String note = "vector length: " + fitting.vectorLength + ", the largest up to " + DEFAULT_VECTOR_LENGTH
                + " that divides all dimensions of the adapted modules";
        return Optional.of(new Fitting(fitting, fitting.vectorLength >= SHORT ? note : note
                + "; the shorter the vectors, the more sub-vectors there are to select and store, and the less they "
                + "share: other --target-modules may allow longer ones"));
    }

    @Override
    public StoredForm form() {
        return saveOnlyTopkWeights ? VbLoraMethod.ONLY_TOPK_WEIGHTS : VbLoraMethod.ALL_LOGITS;
    }

    /** If the flag and the tensors disagreed, something else would silently be decoded. */
    @Override
    protected StoredForm form(PeftFile file) {
        StoredForm other = saveOnlyTopkWeights ? VbLoraMethod.ALL_LOGITS : VbLoraMethod.ONLY_TOPK_WEIGHTS;
        for (String name : file.names()) {
            if (other.moduleKeys().stream().anyMatch(name::endsWith)) {
                throw new InputException(source(), "save_only_topk_weights",
                        saveOnlyTopkWeights + ", but the tensor " + name,
                        (!saveOnlyTopkWeights) + ", or tensors stored the other way");
            }
        }
        return form();
    }

    @Override
    public void requireTrainable(String purpose) {
        if (saveOnlyTopkWeights) {
            throw new InputException(source(), "save_only_topk_weights", "true: the adapter holds selected weights "
                    + "alone", "an adapter stored with all its logits, " + purpose);
        }
    }

    @Override
    protected void setForm(ObjectNode json, StoredForm form) {
        json.put("save_only_topk_weights", form.equals(VbLoraMethod.ONLY_TOPK_WEIGHTS));
    }

    @Override
    protected ModuleShape shape(String path, PeftFile file, BaseWeights base) {
        String suffix = saveOnlyTopkWeights ? VbLoraKeys.TOPK_INDICES : "";
        long columnsA = file.expect(VbLoraKeys.logitsA(path) + suffix, "r", r(), -1, -1).get(1);
        long columnsB = file.expect(VbLoraKeys.logitsB(path) + suffix, "r", -1, r(), -1).get(0);
        return new ModuleShape(path, multiply(path, columnsA, file), multiply(path, columnsB, file));
    }

    private long multiply(String path, long columns, PeftFile file) {
        if (columns < 1 || columns > Integer.MAX_VALUE) {
            throw file.wrong(path, columns + " sub-vectors in a row", "at least 1");
        }
        return columns * vectorLength;
    }

    @Override
    protected List<StoredTensor> stored(List<ModuleShape> modules, StoredForm form) {
        LogitsRows rows = LogitsRows.of(this, modules);
        return form.equals(VbLoraMethod.ONLY_TOPK_WEIGHTS) ? TopkWeights.stored(this, rows)
                : Stream.of(bankLayout(), rows.layout(numVectors)).map(StoredTensor::of).flatMap(List::stream).toList();
    }

    /** The layout of the bank's buffer. */
    ParameterLayout bankLayout() {
        return ParameterLayout.builder().add(VbLoraKeys.VECTOR_BANK, numVectors, vectorLength).build();
    }

    @Override
    protected Composition create(List<ModuleShape> modules, BaseWeights base, io.vblora.kernels.Stream stream,
            long seed) {
        return filled(new VbLoraComposition(stream.device(), this, modules, true, source()),
                composition -> composition.initialize(this, seed, stream));
    }

    @Override
    protected Composition read(List<ModuleShape> modules, PeftFile file, BaseWeights base,
            io.vblora.kernels.Stream stream) {
        file.expect(VbLoraKeys.VECTOR_BANK, "num_vectors, vector_length", numVectors, vectorLength);
        return filled(new VbLoraComposition(stream.device(), this, modules, !saveOnlyTopkWeights,
                file.path().toString()), composition -> composition.read(this, file, stream));
    }

    /** Fills the composition and returns it; closes it if that fails. */
    private static VbLoraComposition filled(VbLoraComposition composition, Consumer<VbLoraComposition> fill) {
        try {
            fill.accept(composition);
            return composition;
        } catch (RuntimeException | Error e) {
            composition.close();
            throw e;
        }
    }

    /** h: vectors in the bank. */
    public int numVectors() {
        return numVectors;
    }

    /** b: elements of a bank vector; divides every adapted dimension. */
    public int vectorLength() {
        return vectorLength;
    }

    /** k: bank vectors mixed into a sub-vector. */
    public int topk() {
        return topk;
    }

    /**
     * Whether only the selected indices and weights are stored. That is small, but such an adapter cannot be trained
     * any further.
     */
    public boolean saveOnlyTopkWeights() {
        return saveOnlyTopkWeights;
    }

    /** The bank is initialised uniformly in [-bound, bound]. */
    public double initVectorBankBound() {
        return initVectorBankBound;
    }

    /** The standard deviation of the logits when they are initialised. */
    public double initLogitsStd() {
        return initLogitsStd;
    }

    public static Builder builder() {
        ObjectNode json = AdapterConfig.Builder.defaults(VbLoraMethod.INSTANCE.peftType(), 4);
        json.put("num_vectors", 256).put("vector_length", DEFAULT_VECTOR_LENGTH).put("topk", 2)
                .put("vblora_dropout", 0.0).put("save_only_topk_weights", false).put("init_vector_bank_bound", 0.02)
                .put("init_logits_std", 0.1);
        return new Builder(json);
    }

    /** A builder that begins with this configuration. */
    public Builder toBuilder() {
        return new Builder(json());
    }

    /** Builds a {@link VbLoraConfig}. */
    public static final class Builder extends AdapterConfig.Builder<Builder> {
        private Builder(ObjectNode json) {
            super(json);
        }

        @Override
        protected Builder self() {
            return this;
        }

        @Override
        public VbLoraConfig build() {
            return new VbLoraConfig(fields("VbLoraConfig"));
        }

        /** Vectors in the bank, h; PEFT's default is 256. */
        public Builder numVectors(int value) {
            return set("num_vectors", value);
        }

        /** Elements of a bank vector, b, which must divide every adapted dimension; PEFT's default is 256. */
        public Builder vectorLength(int value) {
            return set("vector_length", value);
        }

        /**
         * Sets the largest vector length up to PEFT's default that divides all dimensions of the modules which this
         * configuration adapts.
         *
         * @param linears all linear layers of the model
         * @throws io.vblora.InputException if what is set so far is not a configuration, or selects no module
         */
        public Builder vectorLengthFor(List<ModuleShape> linears) {
            BigInteger divisor = BigInteger.ZERO;
            for (ModuleShape module : build().modules().select(linears)) {
                divisor = divisor.gcd(BigInteger.valueOf(module.inFeatures()))
                        .gcd(BigInteger.valueOf(module.outFeatures()));
            }
            int length = DEFAULT_VECTOR_LENGTH;
            while (divisor.mod(BigInteger.valueOf(length)).signum() != 0) {
                length--;
            }
            return vectorLength(length);
        }

        /** Bank vectors mixed into each sub-vector, k; PEFT's default is 2. */
        public Builder topk(int value) {
            return set("topk", value);
        }

        /** Probability of dropout on the branch's input while training, in [0, 1); 0 by default. */
        public Builder vbloraDropout(double value) {
            return set("vblora_dropout", value);
        }

        /** Whether the selected indices and weights are stored instead of all logits; false by default. */
        public Builder saveOnlyTopkWeights(boolean value) {
            return set("save_only_topk_weights", value);
        }

        /** The bound within which the bank is initialised uniformly; 0.02 by default. */
        public Builder initVectorBankBound(double value) {
            return set("init_vector_bank_bound", value);
        }

        /** The standard deviation of the normal distribution of initial logits; 0.1 by default. */
        public Builder initLogitsStd(double value) {
            return set("init_logits_std", value);
        }
    }
}

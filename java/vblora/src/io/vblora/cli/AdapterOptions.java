package io.vblora.cli;

import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModuleSelector;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Options of {@code finetune} that become an {@link AdapterConfig}; names and defaults are PEFT's. */
final class AdapterOptions {
    /** Options of VB-LoRA alone. */
    static final List<String> VBLORA_ONLY = List.of("--num-vectors", "--vector-length", "--topk", "--vblora-dropout",
            "--init-vector-bank-bound", "--init-logits-std", "--save-only-topk-weights", "--learning-rate-vector-bank",
            "--learning-rate-logits");
    /** Options of LoRA alone. --learning-rate is, too, but is let pass with a word. */
    static final List<String> LORA_ONLY = List.of("--lora-alpha", "--lora-dropout");
    /** Options of all low-rank updates. */
    static final List<String> UPDATES_ONLY = List.of("--r", "--target-modules");
    /** Options that are keys of an adapter's configuration. */
    private static final List<String> CONFIG = List.of("--r", "--num-vectors", "--vector-length", "--topk",
            "--vblora-dropout", "--init-vector-bank-bound", "--init-logits-std", "--lora-alpha", "--lora-dropout");

    /** Hugging Face's name of the head for sequences, whole or the module that it is part of. */
    private static final String HEAD_MODULE = "classifier";
    /** What PEFT writes for it: the names that heads for sequences have in any model. */
    static final List<String> HEAD_MODULES = List.of(HEAD_MODULE, "score");

    /** Vectors that are shorter are short, beside the paper's. */
    private static final int SHORT = 8;

    private static final VbLoraConfig VBLORA = VbLoraConfig.builder().build();
    private static final LoraConfig LORA = LoraConfig.builder().build();

    enum Method {
        VBLORA, LORA, HEAD;

        static Method of(AdapterConfig config) {
            return config instanceof VbLoraConfig ? VBLORA : config.modules().adaptsNothing() ? HEAD : LORA;
        }

        /** Options that mean nothing to it. */
        List<String> meaningless() {
            return switch (this) {
                case VBLORA -> LORA_ONLY;
                case LORA -> VBLORA_ONLY;
                case HEAD -> Stream.of(VBLORA_ONLY, LORA_ONLY, UPDATES_ONLY).flatMap(List::stream).toList();
            };
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Option(names = "--method", paramLabel = "METHOD",
            description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}, or that of --init-adapter). head "
                    + "trains the head of a sequence task alone, the whole encoder frozen.")
    private Method method = Method.VBLORA;

    @Option(names = "--r", paramLabel = "N",
            description = "Rank of the updates (default: PEFT's, 4 for vblora, 8 for lora).")
    private Integer r;

    @Option(names = "--num-vectors", paramLabel = "N",
            description = "VB-LoRA: vectors in the bank, h (default: ${DEFAULT-VALUE}).")
    private int numVectors = VBLORA.numVectors();

    @Option(names = "--vector-length", paramLabel = "N", converter = VectorLength.class,
            description = "VB-LoRA: elements of a bank vector, b; must divide every dimension of the adapted modules. "
                    + "auto is the largest up to the paper's 256 that does (default: auto, or that of "
                    + "--init-adapter).")
    private Integer vectorLength;

    @Option(names = "--topk", paramLabel = "N",
            description = "VB-LoRA: bank vectors mixed into each sub-vector, k (default: ${DEFAULT-VALUE}).")
    private int topk = VBLORA.topk();

    @Option(names = "--target-modules", paramLabel = "MODULES",
            description = "What is adapted: all-linear (all but the output head), names separated by commas that "
                    + "module paths are or end with, as q_proj,v_proj, or a regular expression that matches whole "
                    + "paths, recognised by any character besides letters, digits, dot, comma, - and _ (default: "
                    + "${DEFAULT-VALUE}).")
    private String targetModules = "all-linear";

    @Option(names = "--vblora-dropout", paramLabel = "P",
            description = "VB-LoRA: probability of dropout on the input of the updates while training (default: "
                    + "${DEFAULT-VALUE}).")
    private double vbloraDropout = VBLORA.dropout();

    @Option(names = "--init-vector-bank-bound", paramLabel = "X",
            description = "VB-LoRA: the bank begins uniform in [-X, X] (default: ${DEFAULT-VALUE}).")
    private double initVectorBankBound = VBLORA.initVectorBankBound();

    @Option(names = "--init-logits-std", paramLabel = "X",
            description = "VB-LoRA: standard deviation of the normal logits at the beginning (default: "
                    + "${DEFAULT-VALUE}).")
    private double initLogitsStd = VBLORA.initLogitsStd();

    @Option(names = "--lora-alpha", paramLabel = "X",
            description = "LoRA: updates are scaled by X / r (default: ${DEFAULT-VALUE}).")
    private double loraAlpha = LORA.loraAlpha();

    @Option(names = "--lora-dropout", paramLabel = "P",
            description = "LoRA: probability of dropout on the input of the updates while training (default: "
                    + "${DEFAULT-VALUE}).")
    private double loraDropout = LORA.dropout();

    @Option(names = "--bias", paramLabel = "WHICH",
            description = "Biases of the base model that are trained beside the updates and saved: none, all, norms' "
                    + "included, or lora_only (or vblora_only, the same): those of adapted layers (default: "
                    + "${DEFAULT-VALUE}).")
    private String bias = VBLORA.bias();

    @Option(names = "--modules-to-save", paramLabel = "MODULES", split = ",",
            description = "Modules of the base model that are trained whole and saved, beside the head of a sequence "
                    + "task: names separated by commas that module paths, or those of modules around them, end with, "
                    + "as lm_head,embed_tokens (default: none).")
    private List<String> modulesToSave = List.of();

    Method method() {
        return method;
    }

    /** Reads a number, or null for auto. */
    static final class VectorLength implements ITypeConverter<Integer> {
        @Override
        public Integer convert(String text) {
            try {
                return text.equals("auto") ? null : Integer.valueOf(text);
            } catch (NumberFormatException e) {
                throw new TypeConversionException("found " + text + "; expected auto or a number");
            }
        }
    }

    /** Options whose values --init-adapter brings along, and may not contradict. */
    List<String> ofConfig() {
        return CONFIG.stream().filter(option -> vectorLength != null || !option.equals("--vector-length")).toList();
    }

    /** The configuration with the vector length that fits a model, which is said, where none is given. */
    AdapterConfig fitting(AdapterConfig config, List<ModuleShape> linears, Invocation invocation) {
        if (vectorLength != null || !(config instanceof VbLoraConfig vbLora)) {
            return config;
        }
        VbLoraConfig fitting = vbLora.toBuilder().vectorLengthFor(linears).build();
        invocation.say("vector length: %d, the largest up to %d that divides all dimensions of the adapted modules%s",
                fitting.vectorLength(), VBLORA.vectorLength(), fitting.vectorLength() >= SHORT ? ""
                : "; the shorter the vectors, the more sub-vectors there are to select and store, and the less they "
                + "share: other --target-modules may allow longer ones");
        return fitting;
    }

    /**
     * What the options say; where they leave the vector length open it has PEFT's.
     *
     * @throws io.vblora.InputException if a value is out of range, or values do not fit together
     */
    AdapterConfig config(Method chosen, Task task, String baseModel) {
        return switch (chosen) {
            case VBLORA -> updates(VbLoraConfig.builder(), task, baseModel)
                    .numVectors(numVectors)
                    .vectorLength(vectorLength == null ? VBLORA.vectorLength() : vectorLength)
                    .topk(topk)
                    .vbloraDropout(vbloraDropout)
                    .initVectorBankBound(initVectorBankBound)
                    .initLogitsStd(initLogitsStd)
                    .build();
            case LORA -> updates(LoraConfig.builder(), task, baseModel)
                    .loraAlpha(loraAlpha)
                    .loraDropout(loraDropout)
                    .build();
            case HEAD -> common(LoraConfig.builder(), task, baseModel)
                    .targetModules(ModuleSelector.DUMMY_TARGET_MODULES)
                    .build();
        };
    }

    private <B extends AdapterConfig.Builder<B>> B updates(B builder, Task task, String baseModel) {
        if (r != null) {
            builder.r(r);
        }
        if (targetModules.equals("all-linear") || !targetModules.matches("[\\w.,-]+")) {
            builder.targetModules(targetModules);
        } else {
            builder.targetModules(List.of(targetModules.split(",")));
        }
        return common(builder, task, baseModel);
    }

    private <B extends AdapterConfig.Builder<B>> B common(B builder, Task task, String baseModel) {
        Stream<String> head = task.isSequence() ? Stream.of(HEAD_MODULE) : Stream.of();
        List<String> saved = Stream.concat(head, modulesToSave.stream()).distinct().toList();
        if (!saved.isEmpty()) {
            builder.modulesToSave(saved);
        }
        return builder.bias(bias).baseModelNameOrPath(baseModel).taskType(task.peftTaskType());
    }
}

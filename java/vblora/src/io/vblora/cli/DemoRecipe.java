package io.vblora.cli;

import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.MethodOption;
import io.vblora.adapter.ModuleSelector;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.train.TrainingArguments;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * One of the trainings of the demo, with everything that was chosen for it. The choices were made on the training data
 * alone: every sixth of its 504 messages was left out and scored by runs of {@code finetune} on the others, with seeds
 * 42 and 1. The demo's held-out messages had no part in it.
 *
 * @param title what the method is called
 * @param description what it does, in a line
 * @param folder where its adapter is written, in the demo's output
 */
record DemoRecipe(String title, String description, String folder, AdapterConfig config, TrainingArguments arguments) {
    /** The seed of all runs, for initial values and the order of examples. */
    private static final long SEED = 42;
    /** The number of messages in a step, in which each intent occurs once or twice on average. */
    private static final int BATCH = 16;
    /** Passes of LoRA and VB-LoRA over the messages, few enough for the whole demo to take less than three minutes. */
    private static final int EPOCHS = 8;
    /** Rank of both methods' updates: the paper's. */
    private static final int R = 4;
    private static final List<String> HEAD = List.of("classifier");

    /** The baseline, then LoRA, then VB-LoRA on the same modules with the same rank. */
    static List<DemoRecipe> all() {
        return List.of(head(), lora(), vbLora());
    }

    /**
     * A linear classifier on the encoder as it is, which shows what the encoder knows already. The loss on the messages
     * left out was 0.89 both at 1e-3 for 60 epochs and at 3e-3 for 20.
     */
    private static DemoRecipe head() {
        AdapterConfig config = LoraConfig.builder().targetModules(ModuleSelector.DUMMY_TARGET_MODULES)
                .modulesToSave(HEAD).taskType("SEQ_CLS").build();
        return new DemoRecipe("head alone", "A classifier on the frozen encoder: the baseline", "head", config,
                arguments(20).learningRateHead(3e-3).build());
    }

    /** Of the learning rates 1e-3 and 2e-3, and 2e-3 and 5e-3 for the head, these gave the smallest loss. */
    private static DemoRecipe lora() {
        AdapterConfig config = LoraConfig.builder().targetModules("all-linear").r(R).loraAlpha(2 * R)
                .modulesToSave(HEAD).taskType("SEQ_CLS").build();
        return of(config, "matrices of rank " + R + " beside each linear layer",
                arguments(EPOCHS).learningRate(2e-3).learningRateHead(5e-3).build());
    }

    /**
     * h, k and r are the paper's, and b = 128 divides the encoder's dimensions, 384 and 1536. Of the learning rates
     * 3e-3 and 5e-3 for the bank, 1e-2 to 5e-2 for the logits and 2e-3 to 5e-3 for the head, these gave the smallest
     * loss.
     */
    private static DemoRecipe vbLora() {
        AdapterConfig config = VbLoraConfig.builder().targetModules("all-linear").r(R).numVectors(90).vectorLength(128)
                .topk(2).modulesToSave(HEAD).taskType("SEQ_CLS").build();
        return of(config, "the same matrices, composed from one bank of vectors",
                arguments(EPOCHS).learningRate("learning_rate_vector_bank", 5e-3)
                        .learningRate("learning_rate_logits", 1e-2).learningRateHead(5e-3).build());
    }

    /** Under the names of the configuration's method. */
    private static DemoRecipe of(AdapterConfig config, String description, TrainingArguments arguments) {
        String title = config.method().title();
        return new DemoRecipe(title, title + ": " + description, config.method().optionName(), config, arguments);
    }

    /** Whether the adapter is stored in its method's compact form, if there is one: what training needs is large. */
    boolean isStoredCompact() {
        return config.method().forms().size() > 1;
    }

    /** Lines with the options of {@code finetune} that repeat this, without the seed and defaults of the method. */
    List<String> options() {
        Stream<String> ofMethod = config.method().options().stream()
                .filter(option -> config.json().get(option.key()).doubleValue() != option.defaultValue().doubleValue())
                .map(option -> option.name() + " " + config.json().get(option.key()).asText());
        Stream<String> ofTraining = Stream.of(
                String.format(Locale.ROOT, "--num-train-epochs %.0f", arguments.schedule().numTrainEpochs()),
                "--per-device-train-batch-size " + arguments.batches().perDeviceTrainBatchSize());
        Stream<String> rates = arguments.optimizer().learningRates().entrySet().stream()
                .map(rate -> MethodOption.name(rate.getKey()) + " " + rate.getValue());
        return List.of(Stream.concat(ofMethod, ofTraining).collect(Collectors.joining(" ")),
                rates.collect(Collectors.joining(" ")));
    }

    private static TrainingArguments.Builder arguments(int epochs) {
        return TrainingArguments.builder().numTrainEpochs(epochs).perDeviceTrainBatchSize(BATCH)
                .perDeviceEvalBatchSize(BATCH).seed(SEED);
    }
}

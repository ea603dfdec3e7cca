package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterFolder;
import io.vblora.data.CausalLmConfig;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceConfig;
import io.vblora.model.config.Pooling;
import java.nio.file.Path;
import java.util.Locale;

/** Values of {@code --task}: what a model learns to do. */
enum Task {
    CAUSAL_LM("CAUSAL_LM", null),
    SEQUENCE_CLASSIFICATION("SEQ_CLS", ProblemType.SINGLE_LABEL_CLASSIFICATION),
    SEQUENCE_REGRESSION("SEQ_CLS", ProblemType.REGRESSION);

    private final String peftTaskType;
    private final ProblemType problemType;

    Task(String peftTaskType, ProblemType problemType) {
        this.peftTaskType = peftTaskType;
        this.problemType = problemType;
    }

    static Task of(ProblemType problemType) {
        return problemType == ProblemType.REGRESSION ? SEQUENCE_REGRESSION : SEQUENCE_CLASSIFICATION;
    }

    /**
     * The task of an adapter for sequences; null if it is one for causal-lm.
     *
     * @throws InputException if the folder says that the task is one for sequences, but not which one
     */
    static SequenceConfig sequenceConfig(AdapterFolder adapter) {
        boolean isTold = adapter.taskConfig() != null;
        AdapterConfig config = adapter.config();
        if (!isTold && SEQUENCE_CLASSIFICATION.peftTaskType.equals(config.taskType())) {
            Path file = adapter.path().resolve(AdapterFolder.TASK_FILE);
            throw new InputException(file, "", "no such file, although " + AdapterConfig.FILE_NAME + " has task_type "
                    + config.taskType(), "the adapter's task as finetune writes it, for example {\"problem_type\": "
                            + "\"" + ProblemType.SINGLE_LABEL_CLASSIFICATION + "\", \"pooling\": \"" + Pooling.POOLER
                            + "\", \"id2label\": {\"0\": \"no\", \"1\": \"yes\"}, \"max_seq_length\": 128}");
        }
        return isTold && CausalLmConfig.of(adapter).isEmpty() ? SequenceConfig.of(adapter) : null;
    }

    /** What is predicted for a sequence; null for {@link #CAUSAL_LM}. */
    ProblemType problemType() {
        return problemType;
    }

    /** PEFT's {@code task_type}. */
    String peftTaskType() {
        return peftTaskType;
    }

    /** Whether a whole sequence gets a label or a value, from a head. */
    boolean isSequence() {
        return problemType != null;
    }

    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}

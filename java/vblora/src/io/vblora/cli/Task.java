package io.vblora.cli;

import io.vblora.model.ProblemType;
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

    /** What is predicted of a sequence, null for {@link #CAUSAL_LM}. */
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

package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.data.CausalLmConfig;
import io.vblora.data.Overlong;
import io.vblora.data.PromptTemplate;
import io.vblora.data.SequenceColumns;
import io.vblora.data.TableFormat;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import picocli.CommandLine.Option;

/** Options that say how files of examples are read. They are the same for training and held-out data. */
final class DataOptions {
    /** Options that have no meaning for {@link Task#CAUSAL_LM}. */
    static final List<String> SEQUENCE_ONLY = List.of("--text-column", "--text-pair-column", "--label-column");
    /** Options that have no meaning for other tasks. */
    static final List<String> CAUSAL_LM_ONLY = List.of("--prompt-template", "--prompt-column", "--response-column");
    /** Options of tables, which {@link Task#CAUSAL_LM} reads only with a prompt. */
    private static final List<String> TABLE = List.of("--data-format", "--delimiter", "--quoted", "--header");

    /**
     * Options that say how a file is written and that no adapter remembers. They have to be given for training data,
     * and again for other files like it.
     */
    static final List<String> OF_FILES = Stream.of(SEQUENCE_ONLY, TABLE, List.of("--overlong")).flatMap(List::stream)
            .toList();

    private static final String NO_TEMPLATE = "none";
    private static final String RESPONSE_COLUMN = "output";

    @Option(names = "--text-column", paramLabel = "NAME",
            description = "Sequences: column of the text, or of the first text of a pair (default: ${DEFAULT-VALUE}). "
                    + "Columns of a file without header are called 1, 2, and so on.")
    private String textColumn = "text";

    @Option(names = "--text-pair-column", paramLabel = "NAME",
            description = "Sequences: column of the second text, if the examples are pairs.")
    private String textPairColumn;

    @Option(names = "--label-column", paramLabel = "NAME",
            description = "Sequences: column of the class or value (default: ${DEFAULT-VALUE}).")
    private String labelColumn = "label";

    @Option(names = "--prompt-template", paramLabel = "TEMPLATE",
            description = "causal-lm: the prompt: alpaca; a UTF-8 file of text with names of columns in braces; or "
                    + "none, which drops the adapter's. Only the response counts in the loss.")
    private String promptTemplate;

    @Option(names = "--prompt-column", paramLabel = "NAME",
            description = "causal-lm: column of the prompt, instead of --prompt-template. The response follows it "
                    + "directly, without a space.")
    private String promptColumn;

    @Option(names = "--response-column", paramLabel = "NAME",
            description = "causal-lm with a prompt: column of the response (default: the adapter's, or "
                    + RESPONSE_COLUMN + ").")
    private String responseColumn;

    @Option(names = "--data-format", paramLabel = "FORMAT",
            description = "Data with columns: ${COMPLETION-CANDIDATES}; json is JSON Lines or an array of objects; "
                    + "auto goes by the file's name (default: ${DEFAULT-VALUE}).")
    private DataFormat dataFormat = DataFormat.AUTO;

    @Option(names = "--delimiter", paramLabel = "TEXT",
            description = "The text between columns, instead of csv's comma or tsv's tab.")
    private String delimiter;

    @Option(names = "--quoted", negatable = true,
            description = "csv, tsv: whether double quotes may enclose fields, or are ordinary text (default: they may "
                    + "in csv, but not in tsv).")
    private Boolean quoted;

    @Option(names = "--header", negatable = true,
            description = "csv, tsv: whether the first row names the columns (default: it does).")
    private Boolean header;

    @Option(names = "--max-seq-length", paramLabel = "N",
            description = "The most tokens of an example (default: the adapter's; else 1024 for causal-lm and 128 for "
                    + "sequences, as in Hugging Face's run_clm and run_glue, or as many as the model has positions "
                    + "for, if that is less).")
    private Integer maxSeqLength;

    @Option(names = "--overlong", paramLabel = "WHAT",
            description = "Examples with more tokens: ${COMPLETION-CANDIDATES}; cut keeps the first tokens, and skips "
                    + "the example if none of its response is left; skip leaves it out; error refuses the file "
                    + "(default: ${DEFAULT-VALUE}).")
    private Overlong overlong = Overlong.CUT;

    /** What an adapter has for options that are left open; null if it has nothing. */
    private CausalLmConfig ofAdapter;

    /** Takes what the options leave open from an adapter's task; null if the adapter has none. */
    void follow(CausalLmConfig adapter) {
        ofAdapter = adapter;
    }

    /** Refuses values that fit no data. */
    void check(Invocation invocation) {
        invocation.check(maxSeqLength == null || maxSeqLength >= 2, "--max-seq-length: found " + maxSeqLength
                + "; expected at least 2");
        invocation.checked(() -> columns(true));
        invocation.check(promptTemplate == null || promptColumn == null,
                "Both --prompt-template and --prompt-column are given; expected one of them");
    }

    /** Refuses options that have no meaning for a task. */
    void checkTask(Invocation invocation, Task task) {
        invocation.refuse(task.isSequence() ? CAUSAL_LM_ONLY : SEQUENCE_ONLY, "to --task " + task);
        if (!task.isSequence() && !hasPrompt()) {
            invocation.check(responseColumn == null, "--response-column without --prompt-template or --prompt-column");
            invocation.refuse(TABLE, "without a prompt to --task " + task);
        }
    }

    private boolean hasPrompt() {
        return promptColumn != null || (promptTemplate != null ? !promptTemplate.equals(NO_TEMPLATE)
                : ofAdapter != null && ofAdapter.prompt() != null);
    }

    private PromptTemplate prompt() {
        return !hasPrompt() ? null
                : promptColumn != null ? PromptTemplate.column(promptColumn)
                : promptTemplate == null ? ofAdapter.prompt()
                : promptTemplate.equals("alpaca") ? PromptTemplate.ALPACA
                : PromptTemplate.read(Path.of(promptTemplate));
    }

    private String responseColumn() {
        return !hasPrompt() ? null
                : responseColumn != null ? responseColumn
                : ofAdapter != null && ofAdapter.responseColumn() != null ? ofAdapter.responseColumn()
                : RESPONSE_COLUMN;
    }

    /**
     * What a language model is taught or scored on: what the options say, or otherwise what an adapter has, which is
     * printed.
     *
     * @param usual the most tokens of an example, if nothing else says so
     * @param most the number of tokens for which the model has positions
     */
    CausalLmConfig causalLm(Invocation invocation, int usual, int most) {
        CausalLmConfig config = new CausalLmConfig(prompt(), responseColumn(),
                maxSeqLength(ofAdapter == null ? usual : ofAdapter.maxSeqLength(), most));
        if (config.equals(ofAdapter)) {
            invocation.say("%s, as the adapter has it", config.summary());
        } else if (ofAdapter != null) {
            boolean isOther = config.prompt() != null && ofAdapter.prompt() != null
                    && !config.prompt().equals(ofAdapter.prompt());
            invocation.say("%s; the adapter has %s%s", config.summary(), isOther ? "another template: " : "",
                    ofAdapter.summary());
        }
        return config;
    }

    SequenceColumns columns(boolean labelled) {
        try {
            return new SequenceColumns(textColumn, textPairColumn, labelled ? labelColumn : null);
        } catch (InputException e) {
            throw new InputException("--text-column, --text-pair-column, --label-column", "", e.found(), e.expected(),
                    e);
        }
    }

    /** How a file is written: what its name implies, as changed by options. */
    TableFormat format(Path file) {
        TableFormat format = dataFormat.of(file);
        if (format.json() && (delimiter != null || quoted != null || header != null)) {
            throw new InputException(delimiter != null ? "--delimiter" : quoted != null ? "--quoted" : "--header", "",
                    "it beside " + file + ", which is JSON", "it with csv or tsv alone");
        }
        format = delimiter == null ? format : format.withDelimiter(delimiter);
        format = quoted == null ? format : format.withQuoted(quoted);
        return header == null ? format : format.withHeader(header);
    }

    Overlong overlong() {
        return overlong;
    }

    /** Refuses a length other than the one that an adapter was trained with. */
    void checkMaxSeqLength(Invocation invocation, int trained, Path adapter) {
        invocation.check(maxSeqLength == null || maxSeqLength == trained, "--max-seq-length: found " + maxSeqLength
                + "; expected " + trained + ", as the adapter in " + adapter + " has it");
    }

    /**
     * The most tokens of an example.
     *
     * @param usual the number if no option says otherwise
     * @param most the number for which the model has positions
     */
    int maxSeqLength(int usual, int most) {
        if (maxSeqLength != null && maxSeqLength > most) {
            throw new InputException("--max-seq-length", "", maxSeqLength.toString(), "at most " + most
                    + ", for which the model has positions");
        }
        return maxSeqLength == null ? Math.min(usual, most) : maxSeqLength;
    }
}

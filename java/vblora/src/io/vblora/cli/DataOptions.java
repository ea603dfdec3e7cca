package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.data.SequenceColumns;
import io.vblora.data.TableFormat;
import java.nio.file.Path;
import java.util.List;
import picocli.CommandLine.Option;

/** Options that say how files of examples are read; the same for training and held-out data. */
final class DataOptions {
    /** Options that mean nothing to {@link Task#CAUSAL_LM}. */
    static final List<String> SEQUENCE_ONLY = List.of("--text-column", "--text-pair-column", "--label-column",
            "--data-format", "--quoted", "--header");

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

    @Option(names = "--data-format", paramLabel = "FORMAT",
            description = "Sequences: ${COMPLETION-CANDIDATES}; json is JSON Lines or an array of objects, auto goes by "
                    + "the file's name (default: ${DEFAULT-VALUE}).")
    private DataFormat dataFormat = DataFormat.AUTO;

    @Option(names = "--quoted", negatable = true,
            description = "Sequences in csv or tsv: fields may stand in double quotes; or quotes are text (default: "
                    + "quoted in csv, text in tsv).")
    private Boolean quoted;

    @Option(names = "--header", negatable = true,
            description = "Sequences in csv or tsv: the first row names the columns, or does not (default: it does).")
    private Boolean header;

    @Option(names = "--max-seq-length", paramLabel = "N",
            description = "Cut examples to this many tokens (default: 1024 for causal-lm, 128 for sequences, as "
                    + "Hugging Face's run_clm and run_glue do; or what the model has positions for, if that is less).")
    private Integer maxSeqLength;

    /** Refuses values that no data could have. */
    void check(Invocation invocation) {
        invocation.check(maxSeqLength == null || maxSeqLength >= 2, "--max-seq-length: found " + maxSeqLength
                + "; expected at least 2");
        invocation.checked(this::columns);
    }

    SequenceColumns columns() {
        return new SequenceColumns(textColumn, textPairColumn, labelColumn);
    }

    /** How a file is written: what its name says, as options change it. */
    TableFormat format(Path file) {
        TableFormat format = dataFormat.of(file);
        if (format.json() && (quoted != null || header != null)) {
            throw new InputException(quoted != null ? "--quoted" : "--header", "", "it beside " + file
                    + ", which is JSON", "it with csv or tsv alone");
        }
        format = quoted == null ? format : format.withQuoted(quoted);
        return header == null ? format : format.withHeader(header);
    }

    /**
     * Tokens to which examples are cut.
     *
     * @param usual if no option says otherwise
     * @param most for which the model has positions
     */
    int maxSeqLength(int usual, int most) {
        if (maxSeqLength != null && maxSeqLength > most) {
            throw new InputException("--max-seq-length", "", maxSeqLength.toString(), "at most " + most
                    + ", for which the model has positions");
        }
        return maxSeqLength == null ? Math.min(usual, most) : maxSeqLength;
    }
}

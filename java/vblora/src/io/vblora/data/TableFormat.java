package io.vblora.data;

import io.vblora.InputException;
import java.nio.file.Path;
import java.util.Locale;

/**
 * How a file of rows is written. In any case it is UTF-8, its lines end in LF, CRLF or CR, and a byte order mark and
 * blank lines are skipped.
 *
 * @param json JSON Lines (an object on each line), or, if the first character is a bracket, one array of objects; the
 *     other values then have no meaning
 * @param delimiter what stands between the fields of a row, not empty
 * @param quoted whether a field may stand in double quotes, within which delimiters and line ends are text and two
 *     quotes stand for one (RFC 4180); otherwise quotes are text and each line is a row
 * @param header whether the first row names the columns; otherwise their names are "1", "2", and so on
 */
public record TableFormat(boolean json, String delimiter, boolean quoted, boolean header) {
    /** JSON Lines, or an array of objects. */
    public static final TableFormat JSON = new TableFormat(true, ",", false, true);
    /** Fields between commas, quoted where needed, with a header. */
    public static final TableFormat CSV = new TableFormat(false, ",", true, true);
    /** Fields between tabs, with a header, and quotes that are text: the form in which most data sets are published. */
    public static final TableFormat TSV = new TableFormat(false, "\t", false, true);

    public TableFormat {
        if (delimiter.isEmpty() || delimiter.matches(".*[\"\r\n].*")) {
            throw new InputException("delimiter", "", delimiter.isEmpty() ? "nothing" : "a quote or line end",
                    "what stands between the fields of a row");
        }
    }

    /**
     * The format that a file's name implies: .csv, .tsv, .json or .jsonl.
     *
     * @throws InputException if it ends in none of these
     */
    public static TableFormat of(Path file) {
        String name = file.toString().toLowerCase(Locale.ROOT);
        return switch (name.substring(name.lastIndexOf('.') + 1)) {
            case "csv" -> CSV;
            case "tsv" -> TSV;
            case "json", "jsonl" -> JSON;
            default -> throw new InputException(file, "", "a name that does not tell the format",
                    "one that ends in .csv, .tsv, .json or .jsonl");
        };
    }

    /** This format with another delimiter. */
    public TableFormat withDelimiter(String other) {
        return new TableFormat(json, other, quoted, header);
    }

    /** This format with quoted fields, or with quotes as text. */
    public TableFormat withQuoted(boolean other) {
        return new TableFormat(json, delimiter, other, header);
    }

    /** This format with or without a header. */
    public TableFormat withHeader(boolean other) {
        return new TableFormat(json, delimiter, quoted, other);
    }
}

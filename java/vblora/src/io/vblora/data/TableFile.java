package io.vblora.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.vblora.InputException;
import io.vblora.IoReason;
import io.vblora.JsonFields;
import io.vblora.PrintableText;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;
import org.apache.commons.csv.QuoteMode;

/**
 * Named columns of a file of rows. With a header, in whose names surrounding space is ignored, each row has as many
 * fields as the header; without one it has at least as many as the wanted columns need. In JSON, strings, numbers and
 * booleans are taken as their text, and null counts as a missing field.
 */
public final class TableFile {
    private static final String EXPECTED = "rows of CSV, TSV or JSON";

    private final Path file;
    private final TableFormat format;
    private final List<String> columns;
    private final List<Row> rows = new ArrayList<>();
    /** In a delimited file, the position of each column; null until the header has been read. */
    private int[] positions;
    private int width;

    private TableFile(Path file, TableFormat format, List<String> columns) {
        this.file = file;
        this.format = format;
        this.columns = columns;
    }

    /**
     * A row.
     *
     * @param line where it begins, from 1
     * @param values of the wanted columns, in their order; null where a JSON row does not have the column
     */
    public record Row(long line, List<String> values) {}

    /**
     * Reads a whole file as {@link #read(Path, TableFormat, List, ReadingListener)} does, without reporting progress.
     */
    public static List<Row> read(Path file, TableFormat format, List<String> columns) {
        return read(file, format, columns, ReadingListener.NONE);
    }

    /**
     * Reads a whole file.
     *
     * @param columns the columns wanted, different from each other
     * @param listener is told of the bytes
     * @throws InputException if the file cannot be used; it names file and line
     * @throws UncheckedIOException if the file cannot be read
     */
    public static List<Row> read(Path file, TableFormat format, List<String> columns, ReadingListener listener) {
        TableFile table = new TableFile(file, format, List.copyOf(columns));
        try (Utf8Reader in = new Utf8Reader(file, EXPECTED, listener)) {
            if (!format.json()) {
                table.readDelimited(in);
            } else if (in.skipBlank() == '[') {
                table.readArray(in);
            } else {
                table.readJsonLines(in);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(file + " could not be read: " + IoReason.of(e), e);
        }
        if (table.rows.isEmpty()) {
            throw new InputException(file, "", "no rows", "at least one");
        }
        return Collections.unmodifiableList(table.rows);
    }

    private void readDelimited(Utf8Reader in) throws IOException {
        if (format.quoted()) {
            readQuoted(in);
            return;
        }
        Pattern delimiter = Pattern.compile(format.delimiter(), Pattern.LITERAL);
        String text = in.readLine();
        for (long line = 1; text != null; line++) {
            if (!text.isBlank() || text.contains(format.delimiter())) {
                addFields(line, Arrays.asList(delimiter.split(text, -1)));
            }
            text = in.readLine();
        }
    }

    private void readQuoted(Utf8Reader in) throws IOException {
        CSVFormat csv = CSVFormat.Builder.create().setDelimiter(format.delimiter()).setQuote('"')
                .setIgnoreEmptyLines(false).setQuoteMode(QuoteMode.ALL_NON_NULL).get();
        try (CSVParser parser = CSVParser.builder().setReader(in).setFormat(csv).get()) {
            long line = 1;
            in.beginRow(line);
            try {
                for (Iterator<CSVRecord> records = parser.iterator(); records.hasNext();) {
                    List<String> fields = records.next().toList();
                    if (!isBlankLine(fields)) {
                        addFields(line, fields.stream().map(field -> field == null ? "" : field).toList());
                    }
                    line = parser.getCurrentLineNumber() + 1;
                    in.beginRow(line);
                }
            } catch (UncheckedIOException e) {
                throw refuse(line, "", "broken quoting (" + e.getCause().getMessage() + ")", "fields in double quotes "
                        + "that are closed before the delimiter, two quotes for one within; or quotes as text", e);
            }
        }
    }

    /** An empty field is null if it has no quotes: a line of two quotes is a row with an empty text, and not blank. */
    private static boolean isBlankLine(List<String> fields) {
        String first = fields.get(0);
        return fields.size() == 1 && (first == null || !first.isEmpty() && first.isBlank());
    }

    private void addFields(long line, List<String> fields) {
        if (positions == null) {
            width = fields.size();
            positions = format.header() ? named(line, fields) : numbered(line);
            if (format.header()) {
                return;
            }
        }
        int last = IntStream.of(positions).max().orElse(0);
        if (format.header() ? fields.size() != width : fields.size() <= last) {
            throw refuse(line, "", fields.size() + (fields.size() == 1 ? " field" : " fields"), format.header()
                    ? width + ", as the header has" : "at least " + (last + 1) + ", as the columns need", null);
        }
        rows.add(new Row(line, IntStream.of(positions).mapToObj(fields::get).toList()));
    }

    private int[] named(long line, List<String> header) {
        List<String> names = header.stream().map(String::strip).toList();
        return columns.stream().mapToInt(column -> {
            int position = names.indexOf(column);
            if (position < 0 || position != names.lastIndexOf(column)) {
                throw refuse(line, "",
                        (position < 0 ? "no column " : "more than one column ") + PrintableText.quoted(column),
                        position < 0 ? "one of: " + PrintableText.list(names) : "one, to know which is meant", null);
            }
            return position;
        }).toArray();
    }

    private int[] numbered(long line) {
        return columns.stream().mapToInt(column -> {
            if (!column.matches("[1-9][0-9]{0,5}")) {
                throw refuse(line, "", "a column called \"" + column + "\", in a file without a header",
                        "the column's number, from 1", null);
            }
            return Integer.parseInt(column) - 1;
        }).toArray();
    }

    private void readJsonLines(Utf8Reader in) throws IOException {
        long line = in.lineEnds() + 1;
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            if (!text.isBlank()) {
                try (JsonParser parser = JsonRows.FACTORY.createParser(text)) {
                    parser.nextToken();
                    readRow(parser, line);
                    if (parser.nextToken() != null) {
                        throw refuse(line, "", "more after the object's end", "one JSON object on each line", null);
                    }
                } catch (JsonProcessingException e) {
                    throw broken(line, e);
                }
            }
            line++;
        }
    }

    private void readArray(Utf8Reader in) throws IOException {
        long before = in.lineEnds();
        try (JsonParser parser = JsonRows.FACTORY.createParser(in)) {
            try {
                parser.nextToken();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    readRow(parser, before + parser.currentTokenLocation().getLineNr());
                }
                if (parser.nextToken() != null) {
                    throw refuse(before + parser.currentTokenLocation().getLineNr(), "",
                            "more after the array's end", "one JSON array", null);
                }
            } catch (JsonProcessingException e) {
                throw broken(e.getLocation() == null ? in.lineEnds() + 1
                        : before + e.getLocation().getLineNr(), e);
            }
        }
    }

    /** Reads the object whose first token is the current one. */
    private void readRow(JsonParser parser, long line) throws IOException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw refuse(line, "", parser.currentToken() == null ? "nothing" : JsonRows.name(parser.currentToken()),
                    "a JSON object for each row", null);
        }
        String[] values = new String[columns.size()];
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String field = parser.currentName();
            JsonToken token = parser.nextToken();
            int column = columns.indexOf(field);
            if (column < 0 || token == JsonToken.VALUE_NULL) {
                parser.skipChildren();
                continue;
            }
            if (!token.isScalarValue()) {
                throw refuse(line, field, JsonRows.name(token), "a string or a number", null);
            }
            String text = parser.getText();
            if (!JsonRows.isUnicode(text)) {
                throw refuse(line, field, "half of a surrogate pair", "valid Unicode", null);
            }
            values[column] = text;
        }
        rows.add(new Row(line, Collections.unmodifiableList(Arrays.asList(values))));
    }

    private InputException broken(long line, JsonProcessingException e) {
        return refuse(line, "", "broken JSON (" + JsonFields.problem(e) + ")",
                "a JSON object on each line, or an array of objects", e);
    }

    private InputException refuse(long line, String field, String found, String expected, Throwable cause) {
        return new InputException(file + ", line " + line, field, found, expected, cause);
    }
}

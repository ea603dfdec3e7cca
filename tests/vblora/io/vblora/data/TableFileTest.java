package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TableFileTest {
    private static final TableFormat NO_HEADER = TableFormat.TSV.withHeader(false);

    @TempDir
    Path folder;

    private List<TableFile.Row> read(TableFormat format, String content, String... columns) throws IOException {
        return TableFile.read(Files.writeString(folder.resolve("data"), content), format, List.of(columns));
    }

    private static TableFile.Row row(long line, String... values) {
        return new TableFile.Row(line, Arrays.asList(values));
    }

    private static String refusal(Path file, TableFormat format, String... columns) {
        String message = assertThrows(InputException.class, () -> TableFile.read(file, format, List.of(columns)))
                .getMessage();
        assertTrue(message.startsWith(file.toString()), message);
        return message.substring(file.toString().length());
    }

    private String refusal(TableFormat format, String content, String... columns) throws IOException {
        return refusal(Files.writeString(folder.resolve("data"), content), format, columns);
    }

    @Test
    void readsQuotedFieldsAndTheLinesOnWhichRowsBegin() throws IOException {
        assertEquals(List.of(row(2, "a, \"b\"\nc", "1"), row(5, "d", "2"), row(6, "e\"f", " 3")),
                read(TableFormat.CSV, "\uFEFFlabel, text \r\n1,\"a, \"\"b\"\"\nc\"\r\n\r\n2,d\n 3,e\"f", "text",
                        "label"));
    }

    @Test
    void takesQuotesAsTextWhereTold() throws IOException {
        assertEquals(List.of(row(2, "\"a", "1"), row(3, "b \"c\" ", "2")),
                read(TableFormat.TSV, "text\tlabel\n\"a\t1\r\nb \"c\" \t2\r\n", "text", "label"));
        assertEquals(List.of(row(2, "\"a\"")), read(TableFormat.CSV.withQuoted(false), "text\n\"a\"\n", "text"));
        assertEquals(List.of(row(2, "a\tb")), read(TableFormat.TSV.withQuoted(true), "text\n\"a\tb\"\n", "text"));
    }

    @Test
    void numbersTheColumnsWhereThereIsNoHeaderAndAllowsFurtherOnes() throws IOException {
        assertEquals(List.of(row(1, "b", "a"), row(3, "e", "d")), read(NO_HEADER, "a\tb\n\nd\te\tf\n", "2", "1"));
        assertEquals(List.of(row(1, "b c", "a")), read(NO_HEADER.withDelimiter("||"), "a||b c\n", "2", "1"));
        assertEquals(List.of(row(1, "b", "a")), read(TableFormat.CSV.withHeader(false), "a,b\n", "2", "1"));
    }

    @Test
    void keepsEmptyFieldsAndFieldsAtTheEnd() throws IOException {
        for (TableFormat format : new TableFormat[] {TableFormat.CSV, TableFormat.TSV}) {
            String d = format.delimiter();
            assertEquals(List.of(row(2, "", ""), row(3, "x", "")),
                    read(format, "a" + d + "b\n" + d + "\nx" + d, "a", "b"));
        }
    }

    @Test
    void readsJsonLinesAndArrays() throws IOException {
        String one = "{\"text\": \"a\\nb\", \"label\": 1, \"x\": {\"text\": [1, {}]}}";
        String two = "{\"label\": true, \"text\": null}";
        assertEquals(List.of(row(2, "a\nb", "1"), row(4, null, "true")),
                read(TableFormat.JSON, "\n" + one + "\r\n\n" + two + "\n", "text", "label"));
        assertEquals(List.of(row(2, "a\nb", "1"), row(3, null, "true")),
                read(TableFormat.JSON, "\uFEFF [\n" + one + ",\n" + two + "]\n\n", "text", "label"));
        assertEquals(List.of(row(1, "-0.50")), read(TableFormat.JSON, "{\"score\": -0.50}", "score"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "a,b\\nx            | , line 2: found 1 field; expected 2, as the header has",
        "a,b\\nx,y\\nx,y,z  | , line 3: found 3 fields; expected 2",
        "c,b\\nx,y          | , line 1: found no column \"a\"; expected one of: \"c\", \"b\"",
        "a,a,b\\n1,2,3      | , line 1: found more than one column \"a\"; expected one, to know",
        "a,b                | : found no rows; expected at least one",
        "a,b\\n\\n  \\n     | : found no rows",
        "a,b\\n1,2\\n\"x    | , line 3: found broken quoting (",
        "a,b\\n1,2\\n\"\\n\\n\"y,2   | , line 3: found broken quoting (",
    })
    void refusesBrokenCsv(String content, String expected) throws IOException {
        String message = refusal(TableFormat.CSV, content.replace("\\n", "\n"), "a", "b");
        assertTrue(message.startsWith(expected), message);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "a\\tb    | 3   | , line 1: found 2 fields; expected at least 3, as the columns need",
        "a\\tb    | 0   | , line 1: found a column called \"0\", in a file without a header; expected the column's "
                + "number",
        "a\\tb    | text| , line 1: found a column called \"text\"",
        "a\\tb    | 9999999999 | , line 1: found a column called \"9999999999\"",
    })
    void refusesColumnsThatAreNotThere(String content, String column, String expected) throws IOException {
        String message = refusal(NO_HEADER, content.replace("\\t", "\t"), column);
        assertTrue(message.startsWith(expected), message);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"a\": 1}\\n{\"a\": 1}}          | , line 2: found broken JSON (Unexpected close marker '}'",
        "{\"a\": 1}\\n{\"a\": 1            | , line 2: found broken JSON (Unexpected end-of-input",
        "{\"a\": 1} {\"a\": 1}             | , line 1: found more after the object's end",
        "{\"a\": 1}\\n7                    | , line 2: found a number; expected a JSON object for each row",
        "{\"a\": []}                       | , line 1: a: found an array; expected a string or a number",
        "{\"a\": 1, \"a\": 2}              | , line 1: found broken JSON (Duplicate field 'a'",
        "{\"a\": \"\\ud800\"}              | , line 1: a: found half of a surrogate pair",
        "[\\n{\"a\": 1},\\n{\"a\": {}}]    | , line 3: a: found an object; expected a string or a number",
        "[\\n{\"a\": 1},\\n{\"a\": 2]      | , line 3: found broken JSON",
        "[\\n{\"a\": 1},                   | , line 2: found broken JSON (Unexpected end-of-input",
        "[\\n\\n7]                         | , line 3: found a number; expected a JSON object for each row",
        "[{\"a\": 1}]\\n[]                 | , line 2: found more after the array's end",
        "[]                                | : found no rows; expected at least one",
    })
    void refusesBrokenJson(String content, String expected) throws IOException {
        String message = refusal(TableFormat.JSON, content.replace("\\n", "\n"), "a");
        assertTrue(message.startsWith(expected), message);
    }

    @Test
    void refusesBytesThatAreNotUtf8ByTheirLine() throws IOException {
        // Longer than the reader's buffer, so that it is filled several times
        String rows = "1234567\t\u00e9\u20ac\n".repeat(20_000);
        byte[] bytes = (rows + "12\t\u00e9\n").getBytes(StandardCharsets.UTF_8);
        Path file = Files.write(folder.resolve("data.tsv"), bytes);
        assertEquals(20_001, TableFile.read(file, NO_HEADER, List.of("2")).size());
        bytes[bytes.length - 2] = 'x';
        Files.write(file, bytes);
        for (TableFormat format : List.of(NO_HEADER, NO_HEADER.withQuoted(true))) {
            assertEquals(", line 20001: found bytes that are not UTF-8; expected UTF-8", refusal(file, format, "2"));
        }
        Files.write(file, ("[" + "\n".repeat(70_000) + "{\"2\": \"\u00e9").getBytes(StandardCharsets.ISO_8859_1));
        assertEquals(", line 70001: found bytes that are not UTF-8; expected UTF-8",
                refusal(file, TableFormat.JSON, "2"));
    }

    @Test
    void refusesWhatIsNotAFile() {
        assertEquals(": found a folder; expected rows of CSV, TSV or JSON", refusal(folder, TableFormat.CSV, "a"));
        assertEquals(": found no such file; expected rows of CSV, TSV or JSON",
                refusal(folder.resolve("none.json"), TableFormat.JSON, "a"));
    }

    /** Old Macs' line ends, in every format, and in each the lines that messages would name. */
    @Test
    void takesACarriageReturnAloneAsALineEnd() throws IOException {
        for (TableFormat format : List.of(TableFormat.CSV, TableFormat.CSV.withQuoted(false), TableFormat.TSV)) {
            String d = format.delimiter();
            assertEquals(List.of(row(2, "x", "1"), row(4, "y", "2"), row(5, "z", "3")),
                    read(format, "a" + d + "b\rx" + d + "1\r\ry" + d + "2\nz" + d + "3\r", "a", "b"));
        }
        assertEquals(List.of(row(1, "x"), row(3, "y")), read(TableFormat.JSON, "{\"a\":\"x\"}\r\r\n{\"a\":\"y\"}",
                "a"));
        assertTrue(refusal(TableFormat.JSON, "\r[{\"a\":\"x\"},\r\n7]", "a").startsWith(", line 3: found a number"));
        // A line feed that belongs to a carriage return at the end of the reader's buffer of 2^14 characters
        for (int length = (1 << 14) - 4; length < (1 << 14) + 1; length++) {
            String text = "x".repeat(length);
            assertEquals(List.of(row(2, text), row(3, "y")), read(TableFormat.TSV, "a\r\n" + text + "\r\ny", "a"));
        }
    }

    /** A pipe gives its bytes once, and by and by. */
    @Test
    void readsAPipe() throws Exception {
        Path pipe = Pipes.make(folder.resolve("pipe"));
        List<String> contents = List.of("a\r\nx\r\ny\r\n", "\n [{\"a\": \"x\"}, {\"a\": \"y\"}]",
                "\n{\"a\": \"x\"}\n{\"a\": \"y\"}\n");
        for (String content : contents) {
            Future<?> writer = Pipes.write(pipe, content);
            TableFormat format = content.startsWith("a") ? TableFormat.TSV : TableFormat.JSON;
            assertEquals(List.of(List.of("x"), List.of("y")), TableFile.read(pipe, format, List.of("a")).stream()
                    .map(TableFile.Row::values).toList(), content);
            writer.get();
        }
    }

    @Test
    void listsSomeOfManyColumns() throws IOException {
        String header = IntStream.range(0, 1_000_000).mapToObj(i -> "column" + i).collect(Collectors.joining(","));
        String message = refusal(TableFormat.CSV, header + "\n", "text");
        assertTrue(message.endsWith("\"column9\" and 999,990 more"), message);
        assertTrue(message.length() < 300, message);
    }

    @Test
    void tellsTheFormatByTheName() {
        assertEquals(TableFormat.CSV, TableFormat.of(Path.of("a.tsv/Data.CSV")));
        assertEquals(TableFormat.TSV, TableFormat.of(Path.of("data.tsv")));
        assertEquals(TableFormat.JSON, TableFormat.of(Path.of("data.json")));
        assertEquals(TableFormat.JSON, TableFormat.of(Path.of("data.jsonl")));
        for (String name : new String[] {"data.txt", "csv.", "data", "/", "a.csv/data"}) {
            assertTrue(assertThrows(InputException.class, () -> TableFormat.of(Path.of(name))).getMessage()
                    .startsWith(name + ": found a name that does not tell the format; expected"));
        }
        for (String delimiter : new String[] {"", "\"", "a\n"}) {
            assertThrows(InputException.class, () -> TableFormat.CSV.withDelimiter(delimiter));
        }
    }

    /** 20 million characters and more: a quote that is not closed would take the rest of the file, however long. */
    @Test
    void refusesLinesAndRowsThatAreTooLong() throws IOException {
        String longText = "a".repeat(20_000_000);
        String lines = "text\n" + ("a".repeat(99) + "\n").repeat(200_000);
        assertEquals(200_000, read(TableFormat.CSV, lines, "text").size());
        assertEquals(", line 3: found a row of more than 16,777,216 characters; expected a shorter one",
                refusal(TableFormat.CSV, "text\nb\n\"" + lines, "text"));
        assertEquals(", line 3: found a row of more than 16,777,216 characters; expected a shorter one",
                refusal(TableFormat.CSV, "text\nb\n" + longText, "text"));
        assertEquals(", line 3: found a line of more than 16,777,216 characters; expected a shorter one",
                refusal(TableFormat.TSV, "text\nb\n" + longText, "text"));
        assertEquals(", line 2: found a line of more than 16,777,216 characters; expected a shorter one",
                refusal(TableFormat.JSON, "{\"text\": \"b\"}\n{\"text\": \"" + longText + "\"}", "text"));
    }
}

package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.model.config.BertConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SequenceFileTest {
    private static final BertConfig ENCODER = TokenizerFixture.encoder(7, 2);
    private static final SequenceColumns TEXT_LABEL = new SequenceColumns("text", null, "label");

    @TempDir
    Path folder;

    private Tokenizer tokenizer;

    @BeforeEach
    void open() throws IOException {
        TokenizerFixture.write(folder);
        tokenizer = Tokenizer.open(folder);
    }

    @AfterEach
    void close() {
        tokenizer.close();
    }

    private Path write(String content) throws IOException {
        return Files.writeString(folder.resolve("data.csv"), content);
    }

    private SequenceFile classes(String content, SequenceColumns columns, List<String> labels) throws IOException {
        return classes(content, columns, labels, Overlong.CUT);
    }

    private SequenceFile classes(String content, SequenceColumns columns, List<String> labels, Overlong overlong)
            throws IOException {
        return SequenceFile.readClassification(write(content), TableFormat.CSV, columns, tokenizer, 5, overlong,
                ENCODER, labels);
    }

    private SequenceFile values(String content) throws IOException {
        return SequenceFile.readRegression(write(content), TableFormat.CSV, TEXT_LABEL, tokenizer, 5, Overlong.CUT,
                ENCODER);
    }

    @Test
    void numbersTheLabelsInTextOrder() throws IOException {
        SequenceFile file =
                classes("text,label\nthe bank of vectors of the,b\nbank,  a\nvectors,b \n", TEXT_LABEL, null);
        assertEquals(List.of("a", "b"), file.labels());
        assertEquals("3 examples of 2 classes, 9 tokens, longest 5, 1 cut", file.summary());
        assertArrayEquals(new int[] {1, 3, 4, 5, 6}, file.examples().get(0).inputIds());
        assertArrayEquals(new int[] {1, 4}, file.examples().get(1).inputIds());
        assertArrayEquals(new int[2], file.examples().get(1).tokenTypeIds());
        assertEquals(List.of(1f, 0f, 1f), file.examples().stream().map(SequenceExample::target).toList());
    }

    @Test
    void skipsOrRefusesLongExamplesWhereTold() throws IOException {
        String content = "text,label\nthe bank of vectors of the,b\nbank,a\nvectors,b\n";
        SequenceFile file = classes(content, TEXT_LABEL, null, Overlong.SKIP);
        assertEquals("2 examples of 2 classes, 4 tokens, longest 2, 1 skipped", file.summary());
        assertEquals(List.of(0), file.skipped());
        assertEquals(List.of(0f, 1f), file.examples().stream().map(SequenceExample::target).toList());
        assertEquals(folder.resolve("data.csv") + ", line 2: found more than 5 tokens in row 1; expected at most 5",
                assertThrows(InputException.class, () -> classes(content, TEXT_LABEL, null, Overlong.ERROR))
                        .getMessage());
        assertEquals(folder.resolve("data.csv") + ": found no example that fits into 5 tokens; expected at least one",
                assertThrows(InputException.class, () -> classes("text,label\nthe bank of vectors of the,b\n",
                        TEXT_LABEL, List.of("a", "b"), Overlong.SKIP)).getMessage());
    }

    /** 1,048,576 characters are the most that are tokenized whole. */
    @Test
    void skipsOrRefusesTextsThatCannotBeTokenizedWhole() throws IOException {
        String content = "text,label\nbank,a\nvectors,b\n" + "the bank of vectors ".repeat(150_000) + ",b\n";
        assertEquals(List.of(2), classes(content, TEXT_LABEL, null, Overlong.SKIP).skipped());
        assertEquals(folder.resolve("data.csv") + ", line 4: found more than 5 tokens in row 3; expected at most 5",
                assertThrows(InputException.class, () -> classes(content, TEXT_LABEL, null, Overlong.ERROR))
                        .getMessage());
    }

    /** A field without text is one, as is a line of two quotes; a line that is blank is no row. */
    @Test
    void takesBlankTextsWhereNothingIsLearnt() throws IOException {
        SequenceColumns text = new SequenceColumns("text", null, null);
        SequenceFile file = classes("text,n\nthe,1\n,2\n\n\" \",3\n", text, List.of("a", "b"));
        assertEquals("[[1, 3], [1], [1]]", Arrays.deepToString(file.examples().stream()
                .map(SequenceExample::inputIds).toArray()));
        assertEquals(3, classes("text\nthe\n\"\"\n\n  \nof\n", text, null).examples().size());
        assertEquals(List.of(0, 1), classes("text\nthe bank of vectors of the\nof of of of of of\n", text, null,
                Overlong.SKIP).skipped());
    }

    @Test
    void skipsWhatIsNoTextWhereNothingIsLearnt() throws IOException {
        SequenceColumns pair = new SequenceColumns("a", "b", null);
        String rows = "{\"a\": \"the\", \"b\": \"\"}\n{\"a\": null, \"b\": \"of\"}\n{\"b\": \"of\"}\n";
        Path file = Files.writeString(folder.resolve("data.jsonl"), rows);
        assertEquals(List.of(1, 2), SequenceFile.readRegression(file, TableFormat.JSON, pair, tokenizer, 5,
                Overlong.CUT, ENCODER).skipped());
        String message = assertThrows(InputException.class, () -> SequenceFile.readRegression(file, TableFormat.JSON,
                new SequenceColumns("a", "c", null), tokenizer, 5, Overlong.CUT, ENCODER)).getMessage();
        assertEquals(file + ", line 1: c: found nothing; expected a text", message);
    }

    @Test
    void sortsIntegersAsNumbers() throws IOException {
        assertEquals(List.of("-1", "2", "10"),
                classes("text,label\nthe,10\nthe,2\nthe,-1\n", TEXT_LABEL, null).labels());
        assertEquals(List.of("10", "2", "a"), classes("text,label\nthe,10\nthe,2\nthe,a\n", TEXT_LABEL, null).labels());
    }

    @Test
    void readsPairsOfWhichOneMayBeBlank() throws IOException {
        SequenceColumns pairs = new SequenceColumns("text", "text2", "label");
        SequenceFile file = classes("label,text2,text\nx,of,the bank\ny,,the\ny,the, \n", pairs, null);
        assertArrayEquals(new int[] {3, 4, 5}, file.examples().get(0).inputIds());
        assertArrayEquals(new int[] {0, 0, 1}, file.examples().get(0).tokenTypeIds());
        assertArrayEquals(new int[] {3}, file.examples().get(1).inputIds());
        assertArrayEquals(new int[] {1}, file.examples().get(2).tokenTypeIds());
        String message = assertThrows(InputException.class,
                () -> classes("label,text2,text\nx,,\ny,,the\n", pairs, null)).getMessage();
        assertEquals(folder.resolve("data.csv") + ", line 2: text: found a blank text; expected a text, here or in "
                + "text2", message);
    }

    @Test
    void readsHeldOutDataByTheLabelsOfTheTrainingData() throws IOException {
        SequenceFile file = classes("text,label\nthe,b\n", TEXT_LABEL, List.of("a", "b"));
        assertEquals(List.of("a", "b"), file.labels());
        assertEquals(1f, file.examples().get(0).target());
        String message = assertThrows(InputException.class,
                () -> classes("text,label\nthe,b\nof,c\n", TEXT_LABEL, List.of("a", "b"))).getMessage();
        assertEquals(folder.resolve("data.csv") + ", line 3: label: found \"c\"; expected one of the labels of the "
                + "training data, \"a\", \"b\"", message);
    }

    @Test
    void listsSomeOfManyLabels() throws IOException {
        List<String> labels = IntStream.range(10, 22).mapToObj(i -> "c" + i).toList();
        String message = assertThrows(InputException.class, () -> classes("text,label\nthe,c9\n", TEXT_LABEL, labels))
                .getMessage();
        assertTrue(message.endsWith("labels of the training data, \"c10\", \"c11\", \"c12\", \"c13\", \"c14\", "
                + "\"c15\", \"c16\", \"c17\", \"c18\", \"c19\" and 2 more"), message);
    }

    @Test
    void readsDataWithoutLabels() throws IOException {
        SequenceFile file = classes("text\nthe\n", new SequenceColumns("text", null, null), List.of("a", "b"));
        assertTrue(Float.isNaN(file.examples().get(0).target()));
        assertEquals("1 examples, 2 tokens, longest 2", file.summary());
    }

    @Test
    void readsNumbers() throws IOException {
        SequenceFile file = values("text,label\nthe,5.000\nof, -.5e1\nof,7\n");
        assertEquals(List.of(5f, -5f, 7f), file.examples().stream().map(SequenceExample::target).toList());
        assertEquals(List.of(), file.labels());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "NaN", "Infinity", "1e39", "0x1p3", "1f", "one", "1 2", "`1,5`", ".", "-", "1e", "1.2.3"})
    void refusesWhatIsNoFiniteNumber(String label) throws IOException {
        String message = assertThrows(InputException.class,
                () -> values("text,label\nthe,1\nof,\"" + label + "\"\n")).getMessage();
        assertEquals(folder.resolve("data.csv") + ", line 3: label: found \"" + label + "\"; expected a finite number",
                message);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "the,a\\n ,b    | , line 3: text: found a blank text; expected a text",
        "the,a\\nof,    | , line 3: label: found no label; expected one",
        "the,a\\nof,a   | : label: found only the label \"a\"; expected at least two different labels",
    })
    void refusesRowsThatTeachNothing(String rows, String expected) throws IOException {
        String message = assertThrows(InputException.class,
                () -> classes("text,label\n" + rows.replace("\\n", "\n"), TEXT_LABEL, null)).getMessage();
        assertEquals(folder.resolve("data.csv") + expected, message);
    }

    @Test
    void namesTheRowWhoseTextTheTokenizerCannotExpress() throws IOException {
        Files.writeString(folder.resolve("tokenizer.json"),
                TokenizerFixture.WORD_LEVEL.replace("\"unk_token\": \"<unk>\"", "\"unk_token\": \"<none>\""));
        tokenizer.close();
        tokenizer = Tokenizer.open(folder);
        String message = assertThrows(InputException.class,
                () -> classes("text,label\nthe,a\n\nunheard,b\n", TEXT_LABEL, null)).getMessage();
        assertTrue(message.startsWith(folder.resolve("data.csv") + ", line 4: ")
                && message.contains("a text that it cannot encode"), message);
    }

    private SequenceFile pairs(BertConfig encoder) throws IOException {
        return SequenceFile.readRegression(write("a,b,label\nthe,vectors,1\nvectors,the,2\n"), TableFormat.CSV,
                new SequenceColumns("a", "b", "label"), tokenizer, 5, Overlong.CUT, encoder);
    }

    @Test
    void refusesATokenizerWithMoreTokensOrTokenTypesThanTheModel() throws IOException {
        String message = assertThrows(InputException.class, () -> pairs(TokenizerFixture.encoder(6, 2))).getMessage();
        assertEquals(folder.resolve("data.csv") + ", line 2: found a text whose tokens have id 6; expected a tokenizer "
                + "of the model, which has 6 token ids", message);
        Files.writeString(folder.resolve("tokenizer.json"), TokenizerFixture.WORD_LEVEL
                .replace("\"id\": \"B\", \"type_id\": 1", "\"id\": \"B\", \"type_id\": 2"));
        tokenizer.close();
        tokenizer = Tokenizer.open(folder);
        message = assertThrows(InputException.class, () -> pairs(ENCODER)).getMessage();
        assertEquals(folder.resolve("data.csv") + ", line 2: found a text whose tokens have type 2; expected a "
                + "tokenizer of the model, which has 2 token types", message);
    }

    @Test
    void givesAllTokensTheOnlyTypeThatTheModelHas() throws IOException {
        assertArrayEquals(new int[] {0, 1}, pairs(ENCODER).examples().get(0).tokenTypeIds());
        assertArrayEquals(new int[2], pairs(TokenizerFixture.encoder(7, 1)).examples().get(0).tokenTypeIds());
    }

    @Test
    void refusesColumnsThatAreTheSame() {
        assertThrows(InputException.class, () -> new SequenceColumns("a", "a", null));
        assertThrows(InputException.class, () -> new SequenceColumns("a", null, "a"));
        assertThrows(InputException.class, () -> new SequenceColumns(null, null, "a"));
    }

    /** Expected numbers: counts of rows and labels that grep, cut, sort and uniq give for the published files. */
    @ParameterizedTest
    @CsvSource(nullValues = "-", value = {
        "MRPC/train.tsv, tsv, #1 String, #2 String, Quality, 3668, 0 1",
        "MRPC/dev.tsv, tsv, #1 String, #2 String, Quality, 408, 0 1",
        "MRPC/test.tsv, tsv, #1 String, #2 String, -, 1725, ''",
        "RTE/train.tsv, tsv, sentence1, sentence2, label, 2490, entailment not_entailment",
        "RTE/dev.tsv, tsv, sentence1, sentence2, label, 277, entailment not_entailment",
        "CoLA/train.tsv, bare, 4, -, 2, 8551, 0 1",
        "CoLA/dev.tsv, bare, 4, -, 2, 1043, 0 1",
        "SST-2/train.tsv, tsv, sentence, -, label, 67349, 0 1",
        "SST-2/dev.tsv, tsv, sentence, -, label, 872, 0 1",
        "SST-2/test-labeled.tsv, tsv, sentence, -, label, 1821, 0 1",
    })
    void readsGlue(String name, String format, String text, String pair, String label, int rows, String labels) {
        Path file = Golden.shared("data/glue").resolve(name);
        SequenceFile data = SequenceFile.readClassification(file, TableFormat.TSV.withHeader(format.equals("tsv")),
                new SequenceColumns(text, pair, label), tokenizer, 64, Overlong.CUT, ENCODER, null);
        assertEquals(rows, data.examples().size());
        assertEquals(labels, String.join(" ", data.labels()));
    }

    /** Expected numbers: rows as wc counts them, the mean as awk prints it. */
    @ParameterizedTest
    @CsvSource({"sts-train.csv, 5749, 2.70100", "sts-dev.csv, 1500, 2.36391", "sts-test.csv, 1379, 2.60792"})
    void readsStsB(String name, int rows, double mean) {
        Path file = Golden.shared("data/glue/STS-B").resolve(name);
        SequenceFile data = SequenceFile.readRegression(file, TableFormat.TSV.withHeader(false),
                new SequenceColumns("6", "7", "5"), tokenizer, 64, Overlong.CUT, ENCODER);
        assertEquals(rows, data.examples().size());
        // awk prints five decimals
        assertEquals(mean, data.examples().stream().mapToDouble(SequenceExample::target).average().orElseThrow(), 6e-6);
    }
}

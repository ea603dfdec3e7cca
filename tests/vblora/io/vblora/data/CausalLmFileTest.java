package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.Golden;
import io.vblora.InputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class CausalLmFileTest {
    private static final int VOCAB_SIZE = 10;

    @TempDir
    Path folder;

    private Path write(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content);
    }

    /** Rows of at most eight tokens. */
    private static CausalLmFile read(Path file) {
        return CausalLmFile.read(file, null, 8, Overlong.CUT, VOCAB_SIZE);
    }

    private CausalLmFile readJson(String content) throws IOException {
        return read(write("data.jsonl", content));
    }

    private CausalLmFile readText(String content, int maxSeqLength) throws IOException {
        return readText(content, maxSeqLength, Overlong.CUT);
    }

    private CausalLmFile readText(String content, int maxSeqLength, Overlong overlong) throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        write("tokenizer_config.json", "{\"eos_token\": \"</s>\"}");
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            return CausalLmFile.read(write("data.txt", content), () -> tokenizer, maxSeqLength, overlong, VOCAB_SIZE);
        }
    }

    private static void assertExamples(CausalLmFile file, int[]... inputIds) {
        assertEquals(Arrays.deepToString(inputIds),
                Arrays.deepToString(file.examples().stream().map(CausalLmExample::inputIds).toArray()));
    }

    @Test
    void readsADocumentPerLineAndEndsItWithTheEndOfSequenceToken() throws IOException {
        CausalLmFile file = readText("\uFEFFthe bank\r\n\r\n  \nof vectors\nthe </s>", 8);
        assertExamples(file, new int[] {1, 3, 4, 2}, new int[] {1, 5, 6, 2}, new int[] {1, 3, 0, 0, 0, 2});
        file.examples().forEach(example -> assertArrayEquals(example.inputIds(), example.labels()));
        assertEquals(0, file.truncated());
        assertEquals(14, file.tokens());
        assertEquals("3 examples, 14 tokens, longest 6", file.summary());
    }

    @Test
    void doesNotAddASecondEndOfSequenceToken() throws IOException {
        String template = "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}";
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL.replace(template + "],\n",
                template + ", {\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}],\n"));
        write("tokenizer_config.json", "{\"eos_token\": \"<s>\"}");
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            assertArrayEquals(new int[] {1, 3, 4, 1}, tokenizer.encode("the bank"));
            assertExamples(CausalLmFile.read(write("data.txt", "the bank"), () -> tokenizer, 8, Overlong.CUT,
                    VOCAB_SIZE), new int[] {1, 3, 4, 1});
        }
    }

    @Test
    void cutsLongExamples() throws IOException {
        CausalLmFile file = readText("the bank\nthe bank of vectors\nthe", 4);
        assertExamples(file, new int[] {1, 3, 4, 2}, new int[] {1, 3, 4, 5}, new int[] {1, 3, 2});
        assertEquals(1, file.truncated());
        assertEquals("3 examples, 11 tokens, longest 4, 1 cut", file.summary());
    }

    @Test
    void skipsOrRefusesLongExamplesWhereTold() throws IOException {
        String text = "the bank\n\nthe bank of vectors\nthe";
        CausalLmFile file = readText(text, 4, Overlong.SKIP);
        assertExamples(file, new int[] {1, 3, 4, 2}, new int[] {1, 3, 2});
        assertEquals(0, file.truncated());
        assertEquals(List.of(1), file.skipped());
        assertEquals("2 examples, 7 tokens, longest 4, 1 skipped as too long", file.summary());
        assertEquals(folder.resolve("data.txt") + ", line 3: found more than 4 tokens in row 2; expected at most 4",
                assertThrows(InputException.class, () -> readText(text, 4, Overlong.ERROR)).getMessage());
        assertEquals(3, readText(text, 6, Overlong.ERROR).examples().size());
        assertEquals(folder.resolve("data.txt") + ": found no example that fits into 2 tokens; expected at least one",
                assertThrows(InputException.class, () -> readText(text, 2, Overlong.SKIP)).getMessage());
    }

    /** 1,048,576 characters are the most that are tokenized whole. */
    @Test
    void skipsOrRefusesTextsThatCannotBeTokenizedWhole() throws IOException {
        String text = "the bank\n" + "the bank of vectors ".repeat(150_000);
        assertEquals(List.of(1), readText(text, 4, Overlong.SKIP).skipped());
        assertEquals(folder.resolve("data.txt") + ", line 2: found more than 4 tokens in row 2; expected at most 4",
                assertThrows(InputException.class, () -> readText(text, 4, Overlong.ERROR)).getMessage());
    }

    /** A row that only its length leaves without a label that counts teaches nothing, but is no fault. */
    @Test
    void skipsExamplesOfWhichNothingThatCountsIsLeft() throws IOException {
        CausalLmFile file = readJson("{\"input_ids\": [1, 2]}\n"
                + "{\"input_ids\": [1,1,1,1,1,1,1,1,1], \"labels\": [1,-100,-100,-100,-100,-100,-100,-100,1]}\n"
                + "{\"input_ids\": [1,1,1,1,1,1,1,1,1], \"labels\": [1,-100,-100,-100,-100,-100,-100,1,1]}\n");
        assertExamples(file, new int[] {1, 2}, new int[] {1, 1, 1, 1, 1, 1, 1, 1});
        assertEquals("2 examples, 10 tokens, longest 8, 1 cut, 1 skipped as too long", file.summary());
        assertEquals(List.of(1), file.skipped());
        assertEquals(List.of(0), readPrompts("prompt,response\nof of of of of of of,\" the\"\nthe, of",
                PromptTemplate.column("prompt"), 8).skipped());
    }

    @Test
    void readsTokensAndLabels() throws IOException {
        CausalLmFile file = readJson("\uFEFF\n{\"id\": {\"a\": [1]}, \"input_ids\": [1, 9, 0]}\r\n"
                + "{\"labels\": [-100, -100, 5], \"input_ids\": [1, 2, 3], \"attention_mask\": [1, 1, 1]}\n"
                + "{\"input_ids\": [1, 2, 3, 4, 5, 6, 7, 8, 9], \"labels\": [-100, 2, 3, 4, 5, 6, 7, 8, 9]}");
        assertExamples(file, new int[] {1, 9, 0}, new int[] {1, 2, 3}, new int[] {1, 2, 3, 4, 5, 6, 7, 8});
        assertSame(file.examples().get(0).inputIds(), file.examples().get(0).labels());
        assertArrayEquals(new int[] {-100, -100, 5}, file.examples().get(1).labels());
        assertArrayEquals(new int[] {-100, 2, 3, 4, 5, 6, 7, 8}, file.examples().get(2).labels());
        assertEquals(1, file.truncated());
    }

    @Test
    void recognisesJsonByItsFirstCharacter() throws IOException {
        assertExamples(read(write("data.txt", "\n \n  {\"input_ids\": [1, 2]}")),
                new int[] {1, 2});
    }

    @Test
    void readsTextInJson() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        Path data = write("data.json", "{\"text\": \"the\\nbank\"}\n{\"input_ids\": [7, 8]}\n");
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            assertExamples(CausalLmFile.read(data, () -> tokenizer, 8, Overlong.CUT, VOCAB_SIZE), new int[] {1, 3, 4},
                    new int[] {7, 8});
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"input_ids\": [1, 2]          | found broken JSON (Unexpected end-of-input",
        "{\"input_ids\": [1, 2]} {}      | found more after the object's end",
        "{\"input_ids\": [1, 2],}        | found broken JSON",
        "{\"input_ids\": [1, 02]}        | found broken JSON",
        "not JSON                        | found broken JSON",
        "[{\"input_ids\": [1, 2]}]       | found an array; expected a JSON object on each line",
        "\"text\"                        | found a string; expected a JSON object on each line",
        "{\"input_ids\": [1, 2], \"input_ids\": [1, 2]} | found broken JSON (Duplicate field 'input_ids'",
        "{\"x\": {\"a\": 1, \"a\": 2}, \"input_ids\": [1, 2]} | found broken JSON (Duplicate field 'a'",
        "{}                              | found neither text nor input_ids; expected one of them",
        "{\"text\": \"a\", \"input_ids\": [1, 2]} | found both text and input_ids; expected one of them",
        "{\"text\": \"a\", \"labels\": [1, 2]} | labels: found labels beside text",
        "{\"text\": \"a b\"}             | found text, but there is no tokenizer",
        "{\"text\": 7}                   | text: found a number; expected a string",
        "{\"text\": null}                | text: found null; expected a string",
        "{\"text\": \"\\ud800\"}         | text: found half of a surrogate pair",
        "{\"input_ids\": \"1 2\"}        | input_ids: found a string; expected an array of integers from 0 to 9",
        "{\"input_ids\": {}}             | input_ids: found an object",
        "{\"input_ids\": true}           | input_ids: found a boolean",
        "{\"input_ids\": [1, \"2\"]}     | input_ids[1]: found a string; expected integers from 0 to 9",
        "{\"input_ids\": [1, [2]]}       | input_ids[1]: found an array",
        "{\"input_ids\": [1, 2.0]}       | input_ids[1]: found 2.0; expected integers from 0 to 9",
        "{\"input_ids\": [1, 10]}        | input_ids[1]: found 10; expected integers from 0 to 9",
        "{\"input_ids\": [1, -1]}        | input_ids[1]: found -1",
        "{\"input_ids\": [1, -100]}      | input_ids[1]: found -100",
        "{\"input_ids\": [1, -2147483648]} | input_ids[1]: found -2147483648",
        "{\"input_ids\": [1, 4294967297]} | input_ids[1]: found 4294967297",
        "{\"input_ids\": [1, 99999999999999999999]} | input_ids[1]: found 99999999999999999999",
        "{\"input_ids\": [1, 2], \"labels\": [1]} | labels: found 1 values; expected 2, as input_ids has",
        "{\"input_ids\": [1, 2], \"labels\": [1, 10]} | labels[1]: found 10; expected integers from 0 to 9, or -100",
        "{\"input_ids\": [1, 2], \"labels\": null} | labels: found null",
        "{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]} | attention_mask[1]: found 0; expected only 1",
        "{\"input_ids\": [1, 2], \"attention_mask\": [1]} | attention_mask: found 1 values; expected 2",
        "{\"input_ids\": []}             | found an example of 0 tokens; expected at least 2",
        "{\"input_ids\": [1]}            | found an example of 1 tokens; expected at least 2",
        "{\"input_ids\": [1, 2, 3], \"labels\": [1, -100, -100]} | labels: found only -100 in positions 1 to 2; "
                + "expected a label that counts, after the first position",
        "{\"input_ids\": [1,1,1,1,1,1,1,1,1], \"labels\": [1,-100,-100,-100,-100,-100,-100,-100,-100]} | labels: found "
                + "only -100 in positions 1 to 8",
    })
    void refusesABadRowByFileAndLine(String row, String expected) throws IOException {
        String message = assertThrows(InputException.class, () -> readJson("{\"input_ids\": [1, 2]}\n\n" + row + "\n"))
                .getMessage();
        assertTrue(message.startsWith(folder.resolve("data.jsonl") + ", line 3: " + expected), message);
    }

    /** A stray byte, a cut sequence, an overlong one, a surrogate, a code point above U+10FFFF. */
    @ParameterizedTest
    @ValueSource(strings = {"ff", "c3", "e282", "c080", "eda080", "f4908080"})
    void refusesBytesThatAreNotUtf8(String hex) throws IOException {
        byte[] head = "{\"input_ids\": [1, 2]}\n{\"note\": \"".getBytes(StandardCharsets.UTF_8);
        byte[] bad = HexFormat.of().parseHex(hex);
        byte[] content = Arrays.copyOf(head, head.length + bad.length);
        System.arraycopy(bad, 0, content, head.length, bad.length);
        Path file = Files.write(folder.resolve("data.jsonl"), content);
        InputException e = assertThrows(InputException.class, () -> read(file));
        assertEquals(file + ", line 2: found bytes that are not UTF-8; expected UTF-8", e.getMessage());
    }

    @Test
    void refusesTextWithoutATokenizer() throws IOException {
        Path file = write("data.txt", "the bank");
        InputException e = assertThrows(InputException.class, () -> read(file));
        assertTrue(e.getMessage().startsWith(file + ", line 1: found text, but there is no tokenizer"), e.getMessage());
        assertThrows(InputException.class, () -> CausalLmFile.read(file, () -> null, 8, Overlong.CUT, VOCAB_SIZE));
    }

    @Test
    void refusesFilesWithoutExamples() throws IOException {
        for (String content : new String[] {"", "\n\r\n  \t\n", "\uFEFF", "\uFEFF\r\n"}) {
            for (String name : new String[] {"data.txt", "data.jsonl"}) {
                Path file = write(name, content);
                InputException e =
                        assertThrows(InputException.class, () -> read(file));
                assertEquals(file + ": found no line that is not blank; expected at least one example", e.getMessage());
            }
        }
        Path missing = folder.resolve("missing.txt");
        assertTrue(assertThrows(InputException.class, () -> read(missing))
                .getMessage().startsWith(missing + ": found no such file"));
        assertTrue(assertThrows(InputException.class, () -> read(folder)).getMessage()
                .startsWith(folder + ": found a folder"));
        Path root = folder.getRoot(); // which has no name
        assertTrue(assertThrows(InputException.class, () -> read(root)).getMessage()
                .startsWith(root + ": found a folder"));
    }

    private CausalLmFile readPrompts(String content, PromptTemplate prompt, int maxSeqLength) throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        write("tokenizer_config.json", "{\"eos_token\": \"</s>\"}");
        Path data = write("data.csv", content);
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            return CausalLmFile.readPrompts(data, TableFormat.of(data), prompt, "response", () -> tokenizer,
                    maxSeqLength, Overlong.CUT, VOCAB_SIZE);
        }
    }

    private static void assertLabels(CausalLmFile file, int[]... labels) {
        assertEquals(Arrays.deepToString(labels),
                Arrays.deepToString(file.examples().stream().map(CausalLmExample::labels).toArray()));
    }

    @Test
    void countsOnlyTheResponseAndItsEnd() throws IOException {
        CausalLmFile file = readPrompts("prompt,response\nthe bank,\" of vectors\"\nthe, the\n",
                PromptTemplate.column("prompt"), 8);
        assertExamples(file, new int[] {1, 3, 4, 5, 6, 2}, new int[] {1, 3, 3, 2});
        assertLabels(file, new int[] {-100, -100, -100, 5, 6, 2}, new int[] {-100, -100, 3, 2});
        assertEquals("2 examples, 10 tokens, longest 6", file.summary());
        assertLabels(readPrompts("prompt,response\nthe bank, of vectors\n", PromptTemplate.column("prompt"), 4),
                new int[] {-100, -100, -100, 5});
    }

    /** "bankof" is one token, though "bank" alone is another. */
    @Test
    void countsATokenThatHoldsPromptAndResponse() throws IOException {
        assertLabels(readPrompts("prompt,response\nthe bank,of the\n", PromptTemplate.column("prompt"), 8),
                new int[] {-100, -100, 0, 3, 2});
    }

    @Test
    void fillsTemplates() throws IOException {
        CausalLmFile file = readPrompts("a,response,b\nthe,vectors,bank\n",
                PromptTemplate.parse("test", "{b} of {a} {{ "), 8);
        assertExamples(file, new int[] {1, 4, 5, 3, 0, 6, 2});
        assertLabels(file, new int[] {-100, -100, -100, -100, -100, 6, 2});
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "the,          | response: found a blank text; expected a response",
        "\" \",of        | found a blank prompt; expected a prompt of prompt",
    })
    void refusesPromptsThatTeachNothing(String row, String expected) throws IOException {
        String message = assertThrows(InputException.class, () -> readPrompts("prompt,response\nthe,of\n" + row,
                PromptTemplate.column("prompt"), 8)).getMessage();
        assertTrue(message.startsWith(folder.resolve("data.csv") + ", line 3: " + expected), message);
    }

    @Test
    void refusesAPromptThatHoldsTheResponse() {
        assertTrue(assertThrows(InputException.class, () -> readPrompts("response\nthe\n",
                PromptTemplate.column("response"), 8)).getMessage().contains("found the response in the prompt"));
    }

    /**
     * Expected numbers: from the rows' prompts, filled by Python, and the tokenizers library: 460 are longer than 512
     * tokens, and of two the prompt alone is.
     */
    @Test
    void readsAlpacaForAModelOf512Positions() {
        Path alpaca = Golden.shared("data/alpaca/alpaca_en_demo.json");
        try (Tokenizer tokenizer = Tokenizer.open(Golden.shared("data/stories260K-hf"))) {
            CausalLmFile cut = CausalLmFile.readPrompts(alpaca, TableFormat.JSON, PromptTemplate.ALPACA, "output",
                    () -> tokenizer, 512, Overlong.CUT, 512);
            assertEquals("997 examples, 388,822 tokens, longest 512, 458 cut, 2 skipped as too long", cut.summary());
            CausalLmFile skipped = CausalLmFile.readPrompts(alpaca, TableFormat.JSON, PromptTemplate.ALPACA, "output",
                    () -> tokenizer, 512, Overlong.SKIP, 512);
            assertEquals(460, skipped.skipped().size());
            assertEquals(539, skipped.examples().size());
        }
    }

    /** Expected numbers: rows as published. The tokenizer is that of Llama 2; it puts "<s>" first and names no end. */
    @Test
    void readsAlpacaGsm8kAndE2e() {
        Path data = Golden.shared("data");
        try (Tokenizer tokenizer = Tokenizer.open(data.resolve("llama2-tokenizer"))) {
            Path alpaca = data.resolve("alpaca/alpaca_en_demo.json");
            CausalLmFile file = CausalLmFile.readPrompts(alpaca, TableFormat.of(alpaca), PromptTemplate.ALPACA,
                    "output", () -> tokenizer, 2048, Overlong.ERROR, 32_000);
            assertEquals(999, file.examples().size());
            CausalLmExample first = file.examples().get(0);
            String text = tokenizer.decode(first.inputIds());
            int masked = (int) Arrays.stream(first.labels())
                    .takeWhile(label -> label == CausalLmExample.IGNORE_INDEX).count();
            assertTrue(text.startsWith("Below is an instruction that describes a task. Write a response that "
                    + "appropriately completes the request.\n\n"
                    + "### Instruction:\nDescribe a process of making crepes.\n\n"
                    + "### Response:Making crepes is an easy and delicious process!"), text);
            assertTrue(tokenizer.decode(Arrays.copyOf(first.inputIds(), masked)).endsWith("### Response:"));
            assertArrayEquals(Arrays.copyOfRange(first.inputIds(), masked, first.length()),
                    Arrays.copyOfRange(first.labels(), masked, first.length()));

            Path gsm8k = data.resolve("gsm8k/test.jsonl");
            assertEquals(1319, CausalLmFile.readPrompts(gsm8k, TableFormat.of(gsm8k),
                    PromptTemplate.column("question"), "answer", () -> tokenizer, 2048, Overlong.ERROR,
                    32_000).examples().size());

            TableFormat bars = TableFormat.TSV.withHeader(false).withDelimiter("||");
            assertEquals(4672, CausalLmFile.readPrompts(data.resolve("e2e/valid.txt"), bars,
                    PromptTemplate.column("1"), "2", () -> tokenizer, 2048, Overlong.ERROR,
                    32_000).examples().size());
        }
    }

    @Test
    void refusesATokenizerWithMoreTokensThanTheModel() throws IOException {
        write("tokenizer.json", TokenizerFixture.WORD_LEVEL);
        Path data = write("data.txt", "the vectors");
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            String message = assertThrows(InputException.class, () -> CausalLmFile.read(data, () -> tokenizer, 8,
                    Overlong.CUT, 6))
                    .getMessage();
            assertEquals(data + ", line 1: found a text whose tokens have id 6; expected a tokenizer of the model, "
                    + "whose vocabulary has 6 tokens", message);
        }
    }

    /** Random rows, written by Jackson and then damaged: a file is read as it was written or refused, nothing else. */
    @Test
    void readsWhatWasWrittenAndSurvivesDamage() throws IOException {
        long seed = 20240515;
        Random random = new Random(seed);
        ObjectMapper mapper = new ObjectMapper();
        int refused = 0;
        for (int round = 0; round < 400; round++) {
            List<int[]> inputIds = new ArrayList<>();
            List<int[]> labels = new ArrayList<>();
            StringBuilder content = new StringBuilder(random.nextBoolean() ? "\uFEFF" : "");
            for (int row = 1 + random.nextInt(5); row > 0; row--) {
                int[] ids = random.ints(2 + random.nextInt(7), 0, VOCAB_SIZE).toArray();
                int[] own = random.nextBoolean() ? ids
                        : random.ints(ids.length, -3, VOCAB_SIZE).map(label -> label < 0 ? -100 : label).toArray();
                own[1] = Math.max(0, own[1]);
                ObjectNode json = mapper.createObjectNode();
                json.put("note", "\u00e9\"\\\n" + random.nextInt());
                json.set("input_ids", array(mapper, ids));
                if (own != ids) {
                    json.set("labels", array(mapper, own));
                }
                inputIds.add(ids);
                labels.add(own);
                content.append(json).append(random.nextBoolean() ? "\r\n" : "\n")
                        .append(random.nextInt(4) == 0 ? "\n" : "");
            }
            String where = "seed " + seed + ", round " + round + ":\n" + content;
            CausalLmFile file = readJson(content.toString());
            assertEquals(inputIds.size(), file.examples().size(), where);
            for (int row = 0; row < inputIds.size(); row++) {
                assertArrayEquals(inputIds.get(row), file.examples().get(row).inputIds(), where);
                assertArrayEquals(labels.get(row), file.examples().get(row).labels(), where);
            }
            byte[] damaged = content.toString().getBytes(StandardCharsets.UTF_8);
            for (int n = 1 + random.nextInt(3); n > 0; n--) {
                damaged[random.nextInt(damaged.length)] = (byte) random.nextInt(256);
            }
            Path path = Files.write(folder.resolve("damaged.jsonl"),
                    random.nextBoolean() ? damaged : Arrays.copyOf(damaged, random.nextInt(damaged.length)));
            try {
                for (CausalLmExample example : read(path).examples()) {
                    assertTrue(Arrays.stream(example.inputIds()).allMatch(id -> id >= 0 && id < VOCAB_SIZE), where);
                    assertTrue(example.countedLabels() > 0, where);
                }
            } catch (InputException e) {
                refused++;
                assertTrue(e.getMessage().startsWith(path.toString()), where + e);
            } catch (RuntimeException e) {
                throw new AssertionError(where, e);
            }
        }
        assertTrue(refused > 100, "Only " + refused + " damaged files were refused");
    }

    private static ArrayNode array(ObjectMapper mapper, int[] values) {
        ArrayNode array = mapper.createArrayNode();
        Arrays.stream(values).forEach(array::add);
        return array;
    }
}

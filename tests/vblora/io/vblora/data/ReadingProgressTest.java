package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReadingProgressTest {
    private static final int ROWS = 5_000;

    @TempDir
    Path folder;

    private final StringWriter out = new StringWriter();
    private long nanos = 1_000_000_000_000L;
    private Path file;

    @BeforeEach
    void write() throws IOException {
        TokenizerFixture.write(folder);
        String rows = IntStream.range(0, ROWS).mapToObj(i -> "the bank of vectors," + i % 2 + "\n")
                .collect(Collectors.joining());
        file = Files.writeString(folder.resolve("data.csv"), "text,label\n" + rows);
    }

    private ReadingProgress progress(Path read) {
        return new ReadingProgress(read, new PrintWriter(out), () -> nanos);
    }

    @Test
    void printsALineNowAndThen() {
        ReadingProgress progress = progress(file);
        for (int second = 0; second < 12; second++) {
            progress.onBytes(1000 * second);
            nanos += 1_000_000_000L;
        }
        for (int second = 12; second < 22; second++) {
            progress.onRows(100 * second, ROWS);
            nanos += 1_000_000_000L;
        }
        // 11 bytes of a header, 22 of each row
        assertEquals(String.format("reading %1$s, 5,000/110,011 bytes%nreading %1$s, 10,000/110,011 bytes%n"
                + "tokenizing %1$s, 1,500/5,000 rows%ntokenizing %1$s, 2,000/5,000 rows%n", file), out.toString());
    }

    @Test
    void doesNotKnowHowLongAPipeIs() throws InterruptedException {
        Path pipe = Pipes.make(folder.resolve("pipe"));
        ReadingProgress progress = progress(pipe);
        nanos += 5_000_000_000L;
        progress.onBytes(1234);
        assertEquals(String.format("reading %s, 1,234 bytes%n", pipe), out.toString());
    }

    @Test
    void printsNothingOfAFileThatIsReadSooner() {
        ReadingProgress progress = progress(file);
        nanos += 4_999_999_999L;
        progress.onBytes(Long.MAX_VALUE);
        progress.onRows(ROWS, ROWS);
        assertEquals("", out.toString());
    }

    private static final class Told implements ReadingListener {
        private final List<Long> bytes = new ArrayList<>();
        private final List<Long> tokenized = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void onBytes(long read) {
            bytes.add(read);
        }

        @Override
        public void onRows(long done, long rows) {
            assertEquals(ROWS, rows);
            tokenized.add(done);
        }

        /** Each row once, of the bytes more and more and all at last. */
        void assertAll(long size) {
            assertEquals(size, bytes.get(bytes.size() - 1));
            assertEquals(bytes.stream().sorted().toList(), bytes);
            assertEquals(LongStream.rangeClosed(1, ROWS).boxed().toList(), tokenized.stream().sorted().toList());
        }
    }

    @Test
    void readersTellHowFarTheyAre() throws IOException {
        long size = Files.size(file);
        SequenceColumns columns = new SequenceColumns("text", null, "label");
        try (Tokenizer tokenizer = Tokenizer.open(folder)) {
            Told classes = new Told();
            SequenceFile.readClassification(file, TableFormat.CSV, columns, tokenizer, 8, Overlong.CUT,
                    TokenizerFixture.encoder(7, 2), null, classes);
            classes.assertAll(size);
            Told values = new Told();
            SequenceFile.readRegression(file, TableFormat.CSV.withQuoted(false), columns, tokenizer, 8, Overlong.CUT,
                    TokenizerFixture.encoder(7, 2), values);
            values.assertAll(size);
            Told prompts = new Told();
            CausalLmFile.readPrompts(file, TableFormat.CSV, PromptTemplate.column("text"), "label", () -> tokenizer, 8,
                    Overlong.CUT, 7, prompts);
            prompts.assertAll(size);
            Told texts = new Told();
            Path lines = Files.writeString(folder.resolve("data.txt"), "the bank\n".repeat(ROWS));
            CausalLmFile.read(lines, () -> tokenizer, 8, Overlong.CUT, 7, texts);
            texts.assertAll(Files.size(lines));
        }
    }
}

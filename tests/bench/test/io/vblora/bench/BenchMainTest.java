package io.vblora.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BenchMainTest {
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    private int execute(String... args) {
        return BenchMain.execute(new PrintWriter(out, true), new PrintWriter(err, true), args);
    }

    @Test
    void helpNamesTheBenchmarks() {
        assertEquals(0, execute("--help"));
        assertTrue(out.toString().contains("admixture"), out.toString());
    }

    @Test
    void withoutABenchmarkItIsWrongUse() {
        assertEquals(2, execute());
        assertTrue(err.toString().startsWith("No benchmark given"), err.toString());
    }

    @ParameterizedTest
    @CsvSource({
        "--model, gpt-2, roberta-base or llama2-7b-layer",
        "--num-vectors, 1, 2 to 65536",
        "--threads, 0, 1 to 1024",
        "--rounds, 0, at least 1",
        "--active-entries, 1, at least 2",
        "--csv, no/such/folder/file.csv, a file in a folder that is there"
    })
    void aBadValueIsRefusedBeforeAnythingRuns(String option, String value, String expected) {
        assertEquals(2, execute("admixture", option, value));
        String message = err.toString().lines().findFirst().orElseThrow();
        assertTrue(message.contains(option) && message.endsWith("found " + value + "; expected " + expected), message);
    }
}

package io.vblora.cli;

import io.vblora.PrintableText;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads numbers, and says in plain words what is none. */
record Numbers<N extends Number>(Function<String, N> reading, String expected) implements ITypeConverter<N> {

    static void register(CommandLine commandLine) {
        Numbers<Integer> ints = new Numbers<>(Integer::valueOf, wholeUpTo(Integer.MAX_VALUE));
        Numbers<Long> longs = new Numbers<>(Long::valueOf, wholeUpTo(Long.MAX_VALUE));
        Numbers<Double> doubles = new Numbers<>(Double::valueOf, "a number, with a point where it has a fraction");
        commandLine.registerConverter(int.class, ints).registerConverter(Integer.class, ints)
                .registerConverter(long.class, longs).registerConverter(Long.class, longs)
                .registerConverter(double.class, doubles).registerConverter(Double.class, doubles);
    }

    private static String wholeUpTo(long max) {
        return "a whole number up to " + max;
    }

    @Override
    public N convert(String text) {
        try {
            return reading.apply(text);
        } catch (NumberFormatException e) {
            throw new TypeConversionException("found " + (text.isBlank() ? "nothing" : PrintableText.of(text))
                    + "; expected " + expected);
        }
    }
}

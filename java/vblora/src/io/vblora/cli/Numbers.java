package io.vblora.cli;

import io.vblora.PrintableText;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Reads numbers, and says in plain words what is not one.
 *
 * @param expected what the text should be
 * @param ofDigits the same for a text that is a whole number, but not a number of this type
 */
record Numbers<N extends Number>(Function<String, N> reading, String expected, String ofDigits)
        implements ITypeConverter<N> {

    static void register(CommandLine commandLine) {
        Numbers<Integer> ints = whole(Integer::valueOf, Integer.MAX_VALUE);
        Numbers<Long> longs = whole(Long::valueOf, Long.MAX_VALUE);
        String number = "a number, with a point where it has a fraction";
        Numbers<Double> doubles = new Numbers<>(Double::valueOf, number, number);
        commandLine.registerConverter(int.class, ints).registerConverter(Integer.class, ints)
                .registerConverter(long.class, longs).registerConverter(Long.class, longs)
                .registerConverter(double.class, doubles).registerConverter(Double.class, doubles);
    }

    private static <N extends Number> Numbers<N> whole(Function<String, N> reading, long max) {
        return new Numbers<>(reading, "a whole number", "a whole number up to " + max);
    }

    @Override
    public N convert(String text) {
        try {
            return reading.apply(text);
        } catch (NumberFormatException e) {
            throw new TypeConversionException("found " + (text.isBlank() ? "nothing" : PrintableText.of(text))
                    + "; expected " + (text.matches("[+-]?\\d+") ? ofDigits : expected));
        }
    }
}

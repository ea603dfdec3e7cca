package io.vblora.model.config;

import io.vblora.JsonFields;

/**
 * Rotary position embedding: base and frequency scaling, as {@code rope_theta} and {@code rope_scaling} of config.json
 * say (or {@code rope_parameters}, which newer files hold instead).
 *
 * @param theta base of the frequencies
 */
public record RopeParameters(double theta, Scaling scaling) {
    /** What becomes of a frequency. */
    public sealed interface Scaling permits Default, Linear, Llama3 {
        double scale(double frequency);
    }

    /** The type "default": frequencies stay as they are. */
    public record Default() implements Scaling {
        @Override
        public double scale(double frequency) {
            return frequency;
        }
    }

    /** The type "linear": all frequencies are divided by a factor. */
    public record Linear(double factor) implements Scaling {
        @Override
        public double scale(double frequency) {
            return frequency / factor;
        }
    }

    /** The type "llama3": long wavelengths are stretched, short ones kept, and those between are blended. */
    public record Llama3(double factor, double lowFreqFactor, double highFreqFactor,
            double originalMaxPositionEmbeddings) implements Scaling {
        @Override
        public double scale(double frequency) {
            double wavelength = 2 * Math.PI / frequency;
            if (wavelength < originalMaxPositionEmbeddings / highFreqFactor) {
                return frequency;
            }
            if (wavelength > originalMaxPositionEmbeddings / lowFreqFactor) {
                return frequency / factor;
            }
            double smooth = (originalMaxPositionEmbeddings / wavelength - lowFreqFactor)
                    / (highFreqFactor - lowFreqFactor);
            return (1 - smooth) * frequency / factor + smooth * frequency;
        }
    }

    /**
     * Reads them from config.json, where a model may have them in older and newer ways.
     *
     * @throws io.vblora.InputException if a value is not supported
     */
    public static RopeParameters read(JsonFields config) {
        String key = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
        JsonFields scaling = config.has(key) ? config.object(key) : null;
        JsonFields thetaFrom = scaling != null && scaling.has("rope_theta") ? scaling : config;
        double theta = thetaFrom.number("rope_theta", 1, 1e12, 10000);
        return new RopeParameters(theta, scaling == null ? new Default() : readScaling(scaling));
    }

    private static Scaling readScaling(JsonFields scaling) {
        String typeKey = scaling.has("rope_type") || !scaling.has("type") ? "rope_type" : "type";
        return switch (scaling.string(typeKey, "default")) {
            case "default" -> new Default();
            case "linear" -> new Linear(scaling.number("factor", 1, 1e6));
            case "llama3" -> new Llama3(scaling.number("factor", 1, 1e6),
                    scaling.number("low_freq_factor", 1e-3, 1e6), scaling.number("high_freq_factor", 1e-3, 1e6),
                    scaling.number("original_max_position_embeddings", 1, 1e9));
            default -> throw scaling.wrong(typeKey, "\"default\", \"linear\" or \"llama3\"");
        };
    }

    /** Angle per position of each pair of a head: headDim / 2 numbers. */
    public double[] inverseFrequencies(int headDim) {
        double[] frequencies = new double[headDim / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = scaling.scale(Math.pow(theta, -2.0 * i / headDim));
        }
        return frequencies;
    }
}

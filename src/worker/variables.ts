import { z } from 'zod';

/** What a document says of a variable besides its name. */
export interface VariableFacts {
  /** One or two sentences, in Markdown. */
  description: string;
  /** In words, where the schema's own default does not say it. */
  default?: string;
  /** Its value is never printed. */
  secret?: true;
}

/** The schema with what a document says of the variable. Goes around the finished schema: what is derived from it would forget. */
export function documented<Schema extends z.ZodType>(schema: Schema, facts: VariableFacts): Schema {
  return schema.meta({ ...facts }) as Schema;
}

/** What was said of a variable with {@link documented}. */
export function factsOf(schema: z.ZodType): VariableFacts & { required: boolean } {
  const { description = '', default: words, secret } = schema.meta() ?? {};
  const parsed = schema.safeParse(undefined);
  const own = ['string', 'number', 'boolean'].includes(typeof parsed.data)
    ? `\`${parsed.data as string}\``
    : undefined;
  const value = typeof words === 'string' ? words : own;
  return {
    description,
    required: !parsed.success,
    ...(value !== undefined && { default: value }),
    ...(secret === true && { secret }),
  };
}

/** Some text; the words complete "set it to". */
export function text(words: string): z.ZodString {
  return z.string({ error: `set it to ${words}` }).min(1);
}

/** A whole number, both bounds allowed. */
export function whole(least: number, most: number) {
  const error = `it must be a whole number from ${least} to ${most}`;
  return z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error });
}

type Unit =
  | 'milliseconds' | 'millisecond' | 'msecs' | 'msec' | 'ms'
  | 'seconds' | 'second' | 'secs' | 'sec' | 's'
  | 'minutes' | 'minute' | 'mins' | 'min' | 'm'
  | 'hours' | 'hour' | 'hrs' | 'hr' | 'h'
  | 'days' | 'day' | 'd'
  | 'weeks' | 'week' | 'w'; // prettier-ignore

/**
 * A length of time: milliseconds, or text such as `'30 seconds'` or `'5m'`. It is what Temporal takes; Temporal's own type for
 * it accepts any value where modules are resolved as Node does.
 */
export type Duration = number | `${number} ${Unit}` | `${number}${Unit}`;

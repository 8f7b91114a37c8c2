/** An agent's subject: what triage decides between. */
export type Topic = 'orders' | 'billing' | 'technical';

/** Words of each topic, and how much they say: what is to be done says more than the things that are named in passing. */
const words: Record<Topic, [pattern: RegExp, weight: number][]> = {
  billing: [
    [/\b(refund\w*|money back|reimburse\w*)\b/i, 4],
    [/\b(charged?|invoices?|pa(y|id|ying|yments?)|paypal|bank transfer|price (drop|match|change)\w*)\b/i, 2],
    [/\bgift cards?\b/i, 2],
  ],
  technical: [
    [/\b(squeak|squeal|rattl|creak|skip|jump|flicker|wobbl|leak)\w*/i, 2],
    [/\b(repair|fix|adjust|assembl|tighten|torque|true|inflate|manual)\w*/i, 2],
    [/\b(punctured?|flat tyre|loose|does(n't| not) (work|shift|brake))\b/i, 2],
    [/\b(brakes?|chain|derailleur|gears?|pedals?|headset|fork|spokes?|tyres?|bottom bracket|dynamo)\b/i, 1],
  ],
  orders: [
    [/\b(where|track\w*|arriv\w*|deliver\w*|shipp\w*|parcel|customs|duties)\b/i, 2],
    [/\b(return\w*|send (it |them )?back|cancel\w*|warranty|late|lost)\b/i, 2],
    [/\border(s|ed)?\b|\bA-?\d{4}\b|\S+@\S+/i, 1],
  ],
};

/** What a text is about; undefined where it says less of it than `least`, or as much of something else. */
export function topicOf(text: string, least = 1): Topic | undefined {
  const scores = (Object.keys(words) as Topic[])
    .map((topic) => ({
      topic,
      score: words[topic].reduce((sum, [pattern, weight]) => sum + (pattern.test(text) ? weight : 0), 0),
    }))
    .sort((a, b) => b.score - a.score);
  const [best, second] = scores;
  return best && best.score >= least && best.score > (second?.score ?? 0) ? best.topic : undefined;
}

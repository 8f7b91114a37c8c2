-- A bicycle shop: what it sells, its customers, the orders of the last six weeks, what it has refunded, promised and advised. Prices and
-- amounts are cents.

CREATE TABLE customers (email TEXT PRIMARY KEY COLLATE NOCASE, name TEXT NOT NULL, ship_to TEXT NOT NULL) STRICT;
CREATE TABLE products (product TEXT PRIMARY KEY, price INTEGER NOT NULL) STRICT;
CREATE TABLE orders (
  order_id TEXT PRIMARY KEY COLLATE NOCASE,
  email TEXT NOT NULL COLLATE NOCASE REFERENCES customers,
  status TEXT NOT NULL,
  placed_on TEXT NOT NULL,
  carrier TEXT,
  tracking_number TEXT,
  expected_on TEXT,
  delivered_on TEXT,
  note TEXT
) STRICT;
CREATE INDEX orders_by_email ON orders (email);
CREATE TABLE items (
  order_id TEXT NOT NULL COLLATE NOCASE REFERENCES orders,
  product TEXT NOT NULL REFERENCES products,
  quantity INTEGER NOT NULL
) STRICT;
CREATE INDEX items_by_order ON items (order_id);
CREATE TABLE refunds (
  -- Whatever calls twice for the same refund, a retry, a crash, another worker, gets one row.
  idempotency_key TEXT PRIMARY KEY,
  order_id TEXT NOT NULL COLLATE NOCASE REFERENCES orders,
  amount INTEGER NOT NULL CHECK (amount > 0),
  reason TEXT NOT NULL,
  made_on TEXT NOT NULL
) STRICT;
CREATE INDEX refunds_by_order ON refunds (order_id);
-- Stands for the carriers' web services: the body that each answers with, which is not always what their documentation says.
CREATE TABLE carrier_answers (tracking_number TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE VIRTUAL TABLE manuals USING fts5 (id UNINDEXED, title, text, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE policies USING fts5 (id UNINDEXED, title, text, tokenize = 'porter unicode61');

INSERT INTO customers VALUES
  ('ines.moreau@example.com', 'Inès Moreau', 'Lyon, France'),
  ('jonas.weber@example.com', 'Jonas Weber', 'Freiburg, Germany'),
  ('aylin.kaya@example.com', 'Aylin Kaya', 'Berlin, Germany'),
  ('tom.okafor@example.com', 'Tom Okafor', 'Leeds, United Kingdom'),
  ('sofia.lindqvist@example.com', 'Sofia Lindqvist', 'Malmö, Sweden'),
  ('marek.novak@example.com', 'Marek Novák', 'Brno, Czechia'),
  ('chiara.ferri@example.com', 'Chiara Ferri', 'Bologna, Italy'),
  ('reto.buehler@example.com', 'Reto Bühler', 'Bern, Switzerland'),
  ('hannah.gruber@example.com', 'Hannah Gruber', 'Graz, Austria'),
  ('dev.patel@example.com', 'Dev Patel', 'Toronto, Canada');

INSERT INTO products VALUES
  ('Tarn 3 touring bicycle', 149900),
  ('Kestrel city bicycle', 89900),
  ('Steel fork, 28 inch', 12900),
  ('Rear wheel, 36 spokes', 17900),
  ('Bottom bracket BSA', 3490),
  ('Chain, 9-speed', 2450),
  ('Cassette 11-34', 4190),
  ('Brake pads, pair', 1290),
  ('Tyre 37-622', 3290),
  ('Inner tube 28 inch', 790),
  ('Leather saddle', 11900),
  ('Bar tape, cork', 1590),
  ('Dynamo front light', 8990),
  ('Rear light, USB', 2990),
  ('Pannier, 20 litres', 7490),
  ('Rain jacket, M', 12900),
  ('Helmet, L', 6990),
  ('U-lock', 5490),
  ('Floor pump', 3990),
  ('Multi-tool', 2790);

INSERT INTO orders VALUES
  ('A-1031', 'ines.moreau@example.com', 'delivered', date('now', '-41 days'), 'DPD', '05308801', date('now', '-36 days'), date('now', '-36 days'), NULL),
  ('A-1032', 'jonas.weber@example.com', 'delivered', date('now', '-39 days'), 'DHL', '00340434161', date('now', '-37 days'), date('now', '-37 days'), NULL),
  ('A-1033', 'aylin.kaya@example.com', 'returned', date('now', '-37 days'), 'DHL', '00340434178', date('now', '-35 days'), date('now', '-35 days'), 'Refunded 9 days after the return was sent.'),
  ('A-1034', 'tom.okafor@example.com', 'delivered', date('now', '-35 days'), 'Royal Mail', 'RM4471902GB', date('now', '-27 days'), date('now', '-26 days'), NULL),
  ('A-1035', 'sofia.lindqvist@example.com', 'delivered', date('now', '-33 days'), 'PostNord', '37310082145', date('now', '-28 days'), date('now', '-29 days'), NULL),
  ('A-1036', 'marek.novak@example.com', 'cancelled', date('now', '-30 days'), NULL, NULL, NULL, NULL, 'Cancelled by the customer before it was shipped; nothing was charged.'),
  ('A-1037', 'chiara.ferri@example.com', 'delivered', date('now', '-28 days'), 'DPD', '05308844', date('now', '-24 days'), date('now', '-23 days'), NULL),
  ('A-1038', 'reto.buehler@example.com', 'delivered', date('now', '-26 days'), 'Swiss Post', '99.00.441127', date('now', '-21 days'), date('now', '-21 days'), NULL),
  ('A-1039', 'hannah.gruber@example.com', 'delivered', date('now', '-25 days'), 'DHL', '00340434202', date('now', '-23 days'), date('now', '-23 days'), NULL),
  ('A-1040', 'dev.patel@example.com', 'lost', date('now', '-24 days'), 'DHL', '00340434211', date('now', '-14 days'), NULL, 'The carrier gave up the search. Waiting for the customer to choose between a new delivery and a refund.'),
  ('A-1041', 'jonas.weber@example.com', 'delivered', date('now', '-20 days'), 'DHL', '00340434229', date('now', '-18 days'), date('now', '-18 days'), NULL),
  ('A-1042', 'ines.moreau@example.com', 'in transit', date('now', '-5 days'), 'DPD', '05309127', date('now', '+1 days'), NULL, 'Last scan: parcel centre Strasbourg.'),
  ('A-1043', 'aylin.kaya@example.com', 'delivered', date('now', '-18 days'), 'DHL', '00340434236', date('now', '-16 days'), date('now', '-16 days'), NULL),
  ('A-1044', 'tom.okafor@example.com', 'delayed', date('now', '-16 days'), 'Royal Mail', 'RM4472218GB', date('now', '-4 days'), NULL, 'Held at customs; the carrier has been asked to trace it.'),
  ('A-1045', 'sofia.lindqvist@example.com', 'delivered', date('now', '-15 days'), 'PostNord', '37310082299', date('now', '-10 days'), date('now', '-10 days'), NULL),
  ('A-1046', 'marek.novak@example.com', 'delivered', date('now', '-14 days'), 'DPD', '05309033', date('now', '-9 days'), date('now', '-8 days'), NULL),
  ('A-1047', 'chiara.ferri@example.com', 'delivered', date('now', '-13 days'), 'DPD', '05309041', date('now', '-9 days'), date('now', '-9 days'), NULL),
  ('A-1048', 'reto.buehler@example.com', 'delivered', date('now', '-11 days'), 'Swiss Post', '99.00.441803', date('now', '-6 days'), date('now', '-6 days'), NULL),
  ('A-1049', 'hannah.gruber@example.com', 'delivered', date('now', '-10 days'), 'DHL', '00340434260', date('now', '-8 days'), date('now', '-8 days'), NULL),
  ('A-1050', 'dev.patel@example.com', 'in transit', date('now', '-9 days'), 'DHL', '00340434277', date('now', '+2 days'), NULL, 'Last scan: customs, Mississauga.'),
  ('A-1051', 'jonas.weber@example.com', 'delivered', date('now', '-8 days'), 'DHL', '00340434284', date('now', '-6 days'), date('now', '-6 days'), NULL),
  ('A-1052', 'aylin.kaya@example.com', 'delayed', date('now', '-7 days'), 'DHL', '00340434291', date('now', '-4 days'), NULL, 'Damaged label; the carrier is looking for the parcel.'),
  ('A-1053', 'ines.moreau@example.com', 'delivered', date('now', '-6 days'), 'DPD', '05309118', date('now', '-2 days'), date('now', '-2 days'), NULL),
  ('A-1054', 'tom.okafor@example.com', 'in transit', date('now', '-5 days'), 'Royal Mail', 'RM4472390GB', date('now', '+4 days'), NULL, NULL),
  ('A-1055', 'sofia.lindqvist@example.com', 'out for delivery', date('now', '-4 days'), 'PostNord', '37310082417', date('now'), NULL, NULL),
  ('A-1056', 'marek.novak@example.com', 'shipped', date('now', '-3 days'), 'DPD', '05309150', date('now', '+2 days'), NULL, NULL),
  ('A-1057', 'chiara.ferri@example.com', 'shipped', date('now', '-2 days'), 'DPD', '05309164', date('now', '+2 days'), NULL, NULL),
  ('A-1058', 'reto.buehler@example.com', 'processing', date('now', '-1 days'), NULL, NULL, date('now', '+5 days'), NULL, 'Is being assembled.'),
  ('A-1059', 'hannah.gruber@example.com', 'processing', date('now', '-1 days'), NULL, NULL, date('now', '+1 days'), NULL, NULL),
  ('A-1060', 'ines.moreau@example.com', 'processing', date('now'), NULL, NULL, date('now', '+4 days'), NULL, NULL);

INSERT INTO items VALUES
  ('A-1031', 'Tyre 37-622', 2),
  ('A-1031', 'Inner tube 28 inch', 2),
  ('A-1032', 'Chain, 9-speed', 1),
  ('A-1032', 'Cassette 11-34', 1),
  ('A-1033', 'Rain jacket, M', 1),
  ('A-1034', 'Leather saddle', 1),
  ('A-1035', 'Pannier, 20 litres', 2),
  ('A-1036', 'Kestrel city bicycle', 1),
  ('A-1037', 'Helmet, L', 1),
  ('A-1037', 'Rear light, USB', 1),
  ('A-1038', 'Dynamo front light', 1),
  ('A-1039', 'U-lock', 1),
  ('A-1039', 'Multi-tool', 1),
  ('A-1040', 'Rear wheel, 36 spokes', 1),
  ('A-1041', 'Brake pads, pair', 2),
  ('A-1041', 'Bar tape, cork', 1),
  ('A-1042', 'Tarn 3 touring bicycle', 1),
  ('A-1043', 'Floor pump', 1),
  ('A-1044', 'Steel fork, 28 inch', 1),
  ('A-1044', 'Bottom bracket BSA', 1),
  ('A-1045', 'Rain jacket, M', 1),
  ('A-1046', 'Tyre 37-622', 1),
  ('A-1047', 'Kestrel city bicycle', 1),
  ('A-1048', 'Chain, 9-speed', 2),
  ('A-1049', 'Leather saddle', 1),
  ('A-1049', 'Bar tape, cork', 1),
  ('A-1050', 'Helmet, L', 1),
  ('A-1051', 'Inner tube 28 inch', 3),
  ('A-1051', 'Multi-tool', 1),
  ('A-1052', 'Dynamo front light', 1),
  ('A-1052', 'Rear light, USB', 1),
  ('A-1053', 'Pannier, 20 litres', 1),
  ('A-1053', 'U-lock', 1),
  ('A-1054', 'Cassette 11-34', 1),
  ('A-1054', 'Chain, 9-speed', 1),
  ('A-1055', 'Floor pump', 1),
  ('A-1055', 'Inner tube 28 inch', 4),
  ('A-1056', 'Rear wheel, 36 spokes', 1),
  ('A-1056', 'Tyre 37-622', 1),
  ('A-1057', 'Brake pads, pair', 4),
  ('A-1058', 'Tarn 3 touring bicycle', 1),
  ('A-1058', 'Helmet, L', 1),
  ('A-1059', 'Rain jacket, M', 1),
  ('A-1060', 'Multi-tool', 1),
  ('A-1060', 'Brake pads, pair', 1);

INSERT INTO refunds VALUES ('before-the-desk:A-1033', 'A-1033', 12900, 'Returned unused.', date('now', '-24 days'));

INSERT INTO carrier_answers VALUES
  ('05309127', json_object('status', 'in_transit', 'place', 'Parcel centre Strasbourg', 'at', date('now', '-1 days'))),
  ('00340434277', json_object('status', 'in_customs', 'place', 'Mississauga', 'at', date('now', '-2 days'))),
  ('37310082417', json_object('status', 'out_for_delivery', 'place', 'Malmö', 'at', date('now'))),
  ('05309150', json_object('status', 'accepted', 'place', 'Freiburg', 'at', date('now', '-2 days'))),
  ('05309118', json_object('status', 'delivered', 'place', 'Lyon', 'at', date('now', '-2 days'))),
  ('RM4472218GB', '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>'),
  ('00340434291', json_object('status', 'LBL_DMG_Q7', 'place', 'Hannover', 'at', date('now', '-3 days'))),
  ('RM4472390GB', json_object('status', 'in_transit', 'place', NULL, 'at', 'yesterday')),
  ('05309164', '');

INSERT INTO manuals VALUES
  ('squeaking-brakes', 'Brakes that squeak',
'Clean the rim and the brake pads with alcohol, never with oil, and roughen the pads with sandpaper. Toe the pads in, so that their
front edge touches the rim 1 mm before the rear edge. Pads worn down to the wear line must be replaced at once.'),
  ('skipping-chain', 'A chain that skips or jumps',
'Measure the chain with a gauge: at 0.75 percent of wear a 9-speed chain has to be replaced, and with an old chain mostly the cassette
too. If the chain is new, adjust the derailleur: turn the barrel adjuster by quarter turns until the chain runs silently.'),
  ('flat-tyre', 'A flat tyre',
'Take the tyre off with levers, find the hole in the inner tube under water, and feel the inside of the tyre for what made it. Inflate a
37-622 tyre to between 3.5 and 6 bar; the number on its side counts.'),
  ('loose-headset', 'A headset or fork that rattles',
'Pull the front brake and rock the bicycle: if the headset clicks, loosen the stem, tighten the top cap until the play is gone, and
tighten the stem to 5 Nm. Do not ride with a cracked fork or frame.'),
  ('dynamo-light', 'A dynamo light that flickers',
'Check that both cables sit firmly on the hub, and that the bare ends do not touch each other. If the light works when it is connected
to a 6 V battery, the hub is at fault; otherwise the light is.'),
  ('wheel-out-of-true', 'A wheel that is out of true',
'Up to 2 mm can be trued with a spoke key: tighten the spokes on the side away from the wobble by quarter turns. A wheel with a broken
spoke must not be ridden; bring it to a workshop.'),
  ('tarn-3', 'Tarn 3: assembly and first ride',
'The Tarn 3 comes assembled but for handlebars, pedals and saddle. Tighten the stem to 5 Nm, the saddle clamp to 6 Nm and the pedals to
35 Nm; the left pedal has a left-hand thread. Have it checked after 300 km.'),
  ('bottom-bracket', 'A bottom bracket that creaks',
'Take the cranks off, clean and grease the threads of the BSA shell, and tighten both cups to 40 Nm; the right one has a left-hand
thread. Creaking that stays comes from worn bearings.');

INSERT INTO policies VALUES
  ('returns', 'Returns',
'Unused goods can be sent back within 30 days of delivery, in their original packaging. Return shipping is
free inside the EU and Switzerland; from elsewhere the customer pays it. Bicycles that have been ridden
outdoors, opened inner tubes and made-to-measure wheels cannot be returned unless they are faulty.'),
  ('refunds', 'Refunds',
'Once a returned parcel has reached the warehouse it is checked within 3 working days. The money then goes
back to the card or account that was used to pay, which takes up to 5 working days more. The original
shipping cost is refunded only if the whole order is returned.'),
  ('shipping-times', 'Shipping times',
'Orders placed before 14:00 on a working day leave the warehouse on the same day. Delivery takes 1 to 2
working days inside Germany and Austria, 3 to 5 in the rest of the EU and Switzerland, and 6 to 12
elsewhere. Complete bicycles take 2 days longer, because they are assembled and test-ridden first.'),
  ('shipping-costs', 'Shipping costs',
'Standard shipping costs €4.90 and is free for orders of €80 or more. Complete bicycles ship for €39.
Express delivery on the next working day costs €14.90 and is offered inside Germany only.'),
  ('late-or-lost', 'Late and lost parcels',
'A parcel counts as late when it is 2 working days past its expected date; support then asks the carrier to
trace it. If the carrier has not found it within 7 days the parcel counts as lost, and the customer chooses
between a new delivery and a full refund.'),
  ('damaged', 'Damaged or wrong items',
'If something arrives damaged, or is not what was ordered, please write to us within 7 days with a photo of
the item and of its packaging. We send a replacement at once and pay for the way back. If the item is no
longer made, the full price is refunded.'),
  ('changes', 'Changing or cancelling an order',
'An order can be changed or cancelled free of charge as long as its status is "processing". Once it has
shipped it can no longer be stopped; it can be refused at the door or returned instead. A new delivery
address can be given to the carrier through its tracking page.'),
  ('warranty', 'Warranty',
'All goods have a legal warranty of 2 years. We give 5 years on frames and 10 years on steel forks, to the
first owner. Wear parts such as tyres, chains, brake pads and bar tape are excluded, as is damage from
crashes. A claim needs the order number and a photo of the fault.'),
  ('payment', 'Payment',
'We take Visa, Mastercard, PayPal and bank transfer. A card is charged when the order ships, not before. An
order paid by bank transfer is held for 10 days and cancelled if no money has come by then.'),
  ('price-match', 'Price changes',
'If the price of an item drops within 14 days of the order, we credit the difference on request. Sales in
which a stock is cleared are excluded.'),
  ('customs', 'Deliveries outside the EU',
'Deliveries to Switzerland, Norway and the United Kingdom are sent with duties paid; nothing is due at the
door. In all other countries outside the EU the recipient pays customs duties and the carrier''s fee for
handling them.'),
  ('gift-cards', 'Gift cards',
'Gift cards are valid for 4 years and can be used in several parts. They cannot be exchanged for cash, and
they cannot be returned once their code has been used.');

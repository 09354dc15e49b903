"""The synthetic super-app: believable customers, their payments, and the deliveries a source would make of them.

`plan` says what is asked for, `people` who the customers are, `registrations` and `payments` what they do,
`mess` what goes wrong on the way, `deliver` writes it, `run.simulate` is the whole. Every number is a hash of
(seed, customer or payment, purpose), so a story is the same on any machine, however long it is told and for
however many customers. Times are local wall-clock seconds since 1970-01-01 until they are written.
"""

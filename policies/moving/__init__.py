"""Moving in from elsewhere: which domains we send to, and which policies another program held.

found    what a source has (pure)
reading  a text file, compressed or not, line by line
lists    a list of domains, postfix-tlspol's dump, a Postfix log (pure, over lines)
sqlite   the cache of postfix-mta-sts-resolver
sources  all of them by name
plan     what of it is new to our cache
fetching looks the domains up, at a bounded rate
"""

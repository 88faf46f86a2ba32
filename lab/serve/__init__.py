"""Running labs for other processes: JSON lines over a socket, the same for a terminal and for any language.

One request a line, one answer a line, in order. Requests of one connection are carried out one after
another; who wants to act while a call is being set up opens a second connection. Whatever is wrong with a
request is told in one form, and the server goes on.

============  =========================================================================
module        what it is
============  =========================================================================
requests      every request, as the model that reads it; the JSON Schema comes from here
answers       the forms of answers, errors and events
verbs         what each request does to a :class:`~lab.live.LiveLab`
server        sockets, lines, connections
places        where servers of this user are found, and which of them are gone
client        the other end, for the command line
============  =========================================================================
"""

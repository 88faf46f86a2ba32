"""baresip as an endpoint: a SIP phone that registers with the network's SIP proxy and calls through it.

``python -m lab.adapters.baresip``. It is steered by its module ctrl_tcp (:mod:`.netstring`, :mod:`.control`);
what ICE came to and how much media went is told by its log alone (:mod:`.log`). :mod:`.phone` makes events of
both. Known for baresip 1.0.0, Debian 12's:

- it checks one candidate pair after the other, each for two seconds: behind two NATs the first RTP packet
  comes some five seconds after the call was answered, behind two symmetric ones after twelve;
- one component only if ``rtcp_mux`` is on: with two it takes twice that;
- the audio source ``aufile`` hangs up at the end of its file, ``ausine`` never ends, but knows 48 kHz and two
  channels only;
- to answer OPTIONS it takes an allocation at its TURN server, so a registrar had better not ask often.
"""

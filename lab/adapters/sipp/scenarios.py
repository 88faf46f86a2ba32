"""What SIPp is to do, in its own language: who calls, who answers, who registers.

Each is short and strict: a message that is not expected fails the call. ``[...]`` is filled in by SIPp.
"""

from __future__ import annotations

from typing import Final

_SDP: Final = """\
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=sipp 1 1 IN IP[local_ip_type] [local_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0
      a=rtpmap:0 PCMU/8000
"""
_FROM_CALLER: Final = """\
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
      Max-Forwards: 70
      From: <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]a
      Call-ID: [call_id]
      Contact: <sip:sipp@[local_ip]:[local_port]>
"""
_IN_DIALOG: Final = """\
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      [routes]
      Content-Length: 0
"""

CALLER: Final = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="caller">
  <send retrans="500" start_rtd="1"><![CDATA[
      INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
{_FROM_CALLER}\
      To: <sip:[service]@[remote_ip]:[remote_port]>
      CSeq: 1 INVITE
{_SDP}
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rtd="1" rrs="true"/>
  <send><![CDATA[
      ACK [next_url] SIP/2.0
{_FROM_CALLER}\
      CSeq: 1 ACK
{_IN_DIALOG}
  ]]></send>
  <pause/>
  <send retrans="500"><![CDATA[
      BYE [next_url] SIP/2.0
{_FROM_CALLER}\
      CSeq: 2 BYE
{_IN_DIALOG}
  ]]></send>
  <recv response="200"/>
</scenario>
"""

CALLEE: Final = f"""\
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="callee">
  <recv request="INVITE"/>
  <send><![CDATA[
      SIP/2.0 180 Ringing
      [last_Via:]
      [last_Record-Route:]
      [last_From:]
      [last_To:];tag=[call_number]b
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port]>
      Content-Length: 0

  ]]></send>
  <send retrans="500"><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_Record-Route:]
      [last_From:]
      [last_To:];tag=[call_number]b
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:[local_ip]:[local_port]>
{_SDP}
  ]]></send>
  <recv request="ACK" optional="false"/>
  <recv request="BYE"/>
  <send><![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Content-Length: 0

  ]]></send>
  <timewait milliseconds="4000"/>
</scenario>
"""

REGISTRATION: Final = """\
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="registration">
  <send retrans="500"><![CDATA[
      REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
      Max-Forwards: 70
      From: <sip:[service]@[remote_ip]>;tag=[call_number]r
      To: <sip:[service]@[remote_ip]>
      Call-ID: [call_id]
      CSeq: 1 REGISTER
      Contact: <sip:[service]@[local_ip]:[local_port]>
      Expires: 3600
      Content-Length: 0

  ]]></send>
  <recv response="200"/>
</scenario>
"""
